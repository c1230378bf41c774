/* Started under the name of OpenSSH's program, with its options. What concerns its log is taken and means nothing. */
#include "sftp.h"
#include "sftp_requests.h"

static int say_usage(void) {
  sftp_say("usage: sftp-server [-eR] [-d start_directory] [-u umask]", "");
  return 1;
}
static bool read_octal(const char *s, int *value) {
  *value = 0;
  if (!*s) return false;
  for (; *s; s++) {
    if (*s < '0' || *s > '7' || *value > 0777) return false;
    *value = *value * 8 + (*s - '0');
  }
  return *value <= 0777;
}

int sftp_main(int argc, char **argv) {
  const char *start = "";
  for (int i = 1; i < argc; i++) {
    if (argv[i][0] != '-') return say_usage();
    for (const char *option = argv[i] + 1; *option; option++) {
      if (*option == 'e') continue;
      if (*option == 'R') {
        sftp_read_only = true;
        continue;
      }
      const char *value = option[1] ? option + 1 : i + 1 < argc ? argv[++i] : NULL;
      int mask;
      if (!value) return say_usage();
      if (*option == 'd')
        start = value;
      else if (*option == 'u' && read_octal(value, &mask))
        sys_umask(mask);
      else if (*option != 'f' && *option != 'l')
        return say_usage();
      break;
    }
  }
  return sftp_serve(0, 1, start);
}
