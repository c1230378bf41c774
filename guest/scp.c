#include "scp.h"
#include "scp_run.h"

static int refuse_use(const char *what) {
  sys_write(2, what, strlen(what));
  return 1;
}

int scp_main(int argc, char **argv) {
  bool from = false, to = false;
  int i = 1;
  for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
    if (str_equal(argv[i], "--")) {
      i++;
      break;
    }
    for (const char *option = argv[i] + 1; *option; option++) {
      switch (*option) {
      case 'f': from = true; break;
      case 't': to = true; break;
      case 'r': scp.recursive = true; break;
      case 'p': scp.keep_times = true; break;
      case 'd': scp.want_directory = true; break;
      case 'v':
      case 'q': break;
      default: return refuse_use("scp: unknown option; this scp only answers one at the other end (-t, -f)\n");
      }
    }
  }
  if (from == to)
    return refuse_use("scp: this container has no scp; its stand-in only answers one at the other end (-t, -f).\n"
                  "Copy from your own machine: scp FILE this-container:PATH\n");
  sys_signal_ignore(SIGPIPE);
  sys_signal_ignore(SIGXFSZ); /* a file at its limit is an error to be told */
  scp.umask = (u32)sys_umask(0);
  if (from) {
    scp_source(argv + i, argc - i);
  } else {
    if (!scp.keep_times) sys_umask((int)scp.umask);
    if (argc - i != 1) {
      scp_complain("ambiguous target", "");
      return 1;
    }
    if (!scp_start(argv[i])) return 1;
    scp_sink();
  }
  return scp.errors != 0;
}
