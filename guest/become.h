/* `serve UID:GID[,GID...]`: root becomes that user, for engines whose exec takes no user. */
#ifndef BECOME_H
#define BECOME_H

/* An exit code; 0: we are that user and nobody else, for good. */
int become(const char *who);

#endif
