/* The child, from fork to execve. It has the helper's memory, a copy of its own: it may write where the request stands. */
#include "guest.h"
#include "proc.h"
#include "process.h"
#include "pty.h"
#include "sftp.h"

void child_fail(int status, u32 stage, int error) {
  u32 message[2] = {stage, (u32)error};
  sys_write(status, message, sizeof message);
  sys_exit(127);
}

/* The strings of a list as C strings: the byte behind each is the first of the next one's length, read by then. */
static char **c_strings(u8 *at, u32 count, char **to) {
  u32 n = count ? get_u32(at) : 0;
  for (u32 i = 0; i < count; i++) {
    u8 *s = at + 4;
    at = s + n;
    n = i + 1 < count ? get_u32(at) : 0;
    *at = 0;
    *to++ = (char *)s;
  }
  *to = NULL;
  return to;
}
static char *c_string(struct bytes b) {
  b.at[b.n] = 0;
  return (char *)b.at;
}

static size_t name_length(const char *variable) {
  const char *equals = str_find(variable, '=');
  return equals ? (size_t)(equals - variable) : strlen(variable);
}
static bool same_name(const char *a, const char *b) {
  size_t n = name_length(a);
  return n == name_length(b) && !memcmp(a, b, n);
}

/* `entry` replaces what has its name in env[0..n), or is added; without "=" it removes. Returns the new n. */
static u32 set_variable(char **env, u32 n, char *entry) {
  bool removes = !str_find(entry, '=');
  u32 kept = 0, place = UINT32_MAX;
  for (u32 i = 0; i < n; i++) {
    if (!same_name(env[i], entry)) env[kept++] = env[i];
    else if (!removes && place == UINT32_MAX) place = kept++;
  }
  if (removes) return kept;
  if (place == UINT32_MAX) place = kept++;
  env[place] = entry;
  return kept;
}

static const char *variable_of(char **env, const char *name) {
  for (; *env; env++)
    if (same_name(*env, name)) return str_find(*env, '=') ? *env + strlen(name) + 1 : "";
  return NULL;
}

/* As execvpe(3), but for its shell: a file without "#!" is ENOEXEC. */
static int find_and_execute(const char *program, char **argv, char **env) {
  char path[4096];
  int error = ENOENT;
  if (!*program) return ENOENT;
  if (str_find(program, '/')) return -sys_execve(program, argv, env);
  const char *at = variable_of(env, "PATH");
  if (!at) at = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (;; at++) {
    const char *end = str_find(at, ':');
    size_t n = end ? (size_t)(end - at) : strlen(at);
    struct text t = text_in(path, sizeof path);
    text_bytes(&t, at, n);
    if (n) text_add(&t, "/"); /* an empty element is the current directory */
    text_add(&t, program);
    if (!t.cut) {
      int e = -sys_execve(path, argv, env);
      if (e == EACCES) error = EACCES; /* found, and may be found again further on */
      else if (e != ENOENT && e != ENOTDIR && e != ESTALE && e != ENODEV && e != ETIMEDOUT) return e;
    }
    at += n;
    if (!*at) return error;
  }
}

/* session.c of OpenSSH: a home that cannot be entered is a warning, and the session is in "/". */
static void enter_directory(struct bytes cwd, struct bytes warn) {
  if (!cwd.n) return;
  int error = sys_chdir(c_string(cwd));
  if (error == 0) return;
  sys_chdir("/");
  if (!warn.n) return;
  /* Nobody reads yet, so no more than any pipe or terminal takes at once. */
  enum { WARN_MAX = 1024 };
  char line[WARN_MAX + 64];
  struct text t = text_in(line, sizeof line);
  text_bytes(&t, (char *)warn.at, warn.n < WARN_MAX ? warn.n : WARN_MAX);
  text_add(&t, ": ");
  text_errno(&t, -error);
  text_add(&t, "\n");
  sys_write(2, t.at, t.length);
}

static char **environment(const struct spawn *request, const struct ends *ends, char *ssh_tty, char **to) {
  u32 inherited = 0;
  while (environ[inherited]) inherited++;
  char **asked = to + inherited + request->envc + 2;
  memcpy(to, environ, inherited * sizeof *to);
  c_strings(request->env, request->envc, asked);
  u32 n = inherited;
  for (u32 i = 0; i < request->envc; i++) n = set_variable(to, n, asked[i]);
  if (request->flags & SPAWN_PTY) {
    struct text t = text_in(ssh_tty, 32);
    text_add(&t, "SSH_TTY=/dev/pts/");
    text_number(&t, ends->pty);
    n = set_variable(to, n, ssh_tty);
  }
  to[n] = NULL;
  return to;
}

static u32 count_environment(void) {
  u32 n = 0;
  while (environ[n]) n++;
  return n;
}

/* This program as descriptor 3: its file may be gone by now, and /proc/PID/exe of the helper is shut to others. Without
 * /proc there is none, and what asks for it says so. */
static void keep_own_program(void) {
  int own = sys_openat(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0);
  if (own < 0) sys_close(3);
  else if (own != 3) sys_dup3(own, 3, 0);
}

void child_run(const struct spawn *request, const struct ends *ends) {
  char ssh_tty[32];
  sys_setsid();
  if (request->flags & SPAWN_PTY && sys_ioctl(ends->in, TIOCSCTTY, NULL) < 0) child_fail(ends->status, STAGE_PTY, EIO);
  if (sys_dup3(ends->in, 0, 0) < 0 || sys_dup3(ends->out, 1, 0) < 0 || sys_dup3(ends->err, 2, 0) < 0)
    child_fail(ends->status, STAGE_RESOURCES, EMFILE);
  /* All else is close-on-exec, but chdir and execve may hang on a dead mount, and a copy of another session's pipe would
   * keep that from ending. */
  int status = request->flags & SPAWN_STAND_IN ? 4 : 3;
  if (sys_dup3(ends->status, status, O_CLOEXEC) < 0 && ends->status != status)
    child_fail(ends->status, STAGE_RESOURCES, EMFILE);
  if (request->flags & SPAWN_STAND_IN) keep_own_program();
  close_from(status + 1);
  sys_prlimit(RLIMIT_NOFILE, &guest.descriptors, NULL);
  /* An ignored signal stays ignored through execve, and the helper ignores some; the engine may have, too. */
  for (int signal = 1; signal <= 64; signal++)
    if (signal != SIGKILL && signal != SIGSTOP) sys_signal_default(signal);
  sys_sigmask(0, NULL);
  sys_umask(022);
  enter_directory(request->cwd, request->warn);
  if (request->sftp) {
    sys_prctl(PR_SET_NAME, (unsigned long)"sftp-server");
    sys_close(status); /* OPENED */
    sftp_read_only = request->read_only;
    sys_exit(sftp_serve(0, 1, ""));
  }
  size_t pointers = request->argc + 1 + 2 * (size_t)request->envc + count_environment() + 4;
  char **argv = sys_reserve(pointers * sizeof *argv);
  if (!argv) child_fail(status, STAGE_RESOURCES, ENOMEM);
  char **env = c_strings(request->argv, request->argc, argv) + 1;
  environment(request, ends, ssh_tty, env);
  child_fail(status, STAGE_EXEC, find_and_execute(c_string(request->program), argv, env));
}
