/* hatchway-guest: what runs inside a container on the gateway's behalf. docs/guest-protocol.md says what it speaks. */
#include "become.h"
#include "hold.h"
#include "scp.h"
#include "serve.h"
#include "sftp.h"
#include "stray.h"

static int version(void) {
  char line[64];
  struct text t = text_in(line, sizeof line);
  text_add(&t, "hatchway-guest protocol ");
  text_number(&t, VERSION);
#if defined(__x86_64__)
  text_add(&t, " x64\n");
#else
  text_add(&t, " arm64\n");
#endif
  return sys_write(1, t.at, t.length) == (long)t.length ? 0 : 1;
}

static const char *base_name(const char *path) {
  for (const char *slash; (slash = str_find(path, '/'));) path = slash + 1;
  return path;
}

/* Also what a program of the container starts as sftp-server or scp, by a link of that name or as the first argument. */
static bool run_as(const char *name, int argc, char **argv, int *code) {
  if (str_equal(name, "sftp-server")) *code = sftp_main(argc, argv);
  else if (str_equal(name, "scp")) *code = scp_main(argc, argv);
  else return false;
  return true;
}

int main(int argc, char **argv) {
  int code;
  if (argc > 0 && run_as(base_name(argv[0]), argc, argv, &code)) return code;
  if (argc > 1 && run_as(argv[1], argc - 1, argv + 1, &code)) return code;
  if (argc == 2 && str_equal(argv[1], "serve")) return serve();
  if (argc == 3 && str_equal(argv[1], "serve")) return (code = become(argv[2])) ? code : serve();
  if (argc == 3 && str_equal(argv[1], "hold")) return hold(argv[2]);
  if (argc == 3 && str_equal(argv[1], "end") && argv[2][0]) return stray_end(argv[2]);
  if (argc == 2 && str_equal(argv[1], "version")) return version();
  const char usage[] = "usage: hatchway-guest serve [UID:GID[,GID...]] | hold MILLISECONDS | end MARK | version | sftp-server ... | scp ...\n";
  sys_write(2, usage, sizeof usage - 1);
  return 2;
}
