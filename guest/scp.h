/* The far end of `scp -O`, where a container has no scp: source (-f) and sink (-t), in the words of OpenSSH's scp.c. */
#ifndef SCP_H
#define SCP_H

int scp_main(int argc, char **argv);

#endif
