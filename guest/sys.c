/* System calls. Freestanding: by the instruction itself. -DHOSTED: through libc, for the sanitizers' sake. */
#include "sys.h"

#ifdef HOSTED

long syscall(long number, ...);
int *__errno_location(void);
int fork(void);
long read(int fd, void *to, size_t n);
long write(int fd, const void *from, size_t n);

static long call6(long n, long a, long b, long c, long d, long e, long f) {
  long r = syscall(n, a, b, c, d, e, f);
  return r < 0 ? -*__errno_location() : r;
}
/* libc's own, because the sanitizers watch the buffers of these and know of a fork. */
long sys_read(int fd, void *to, size_t n) {
  long r = read(fd, to, n);
  return r < 0 ? -*__errno_location() : r;
}
long sys_write(int fd, const void *from, size_t n) {
  long r = write(fd, from, n);
  return r < 0 ? -*__errno_location() : r;
}
int sys_fork(void) {
  int r = fork();
  return r < 0 ? -*__errno_location() : r;
}

#else

#if defined(__x86_64__)
static long call6(long n, long a, long b, long c, long d, long e, long f) {
  long r;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(r)
                   : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return r;
}
#elif defined(__aarch64__)
static long call6(long n, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = n;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
#else
#error "the guest helper knows x86-64 and arm64"
#endif

long sys_read(int fd, void *to, size_t n) { return call6(__NR_read, fd, (long)to, (long)n, 0, 0, 0); }
long sys_write(int fd, const void *from, size_t n) { return call6(__NR_write, fd, (long)from, (long)n, 0, 0, 0); }
/* arm64 has no fork(2); clone with nothing shared is the same. */
int sys_fork(void) { return (int)call6(__NR_clone, SIGCHLD, 0, 0, 0, 0, 0); }

#endif

#define CALL0(name) call6(__NR_##name, 0, 0, 0, 0, 0, 0)
#define CALL1(name, a) call6(__NR_##name, (long)(a), 0, 0, 0, 0, 0)
#define CALL2(name, a, b) call6(__NR_##name, (long)(a), (long)(b), 0, 0, 0, 0)
#define CALL3(name, a, b, c) call6(__NR_##name, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define CALL4(name, a, b, c, d) call6(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define CALL5(name, a, b, c, d, e) call6(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define CALL6(name, a, b, c, d, e, f) \
  call6(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

int sys_openat(int dir, const char *path, int flags, int mode) { return (int)CALL4(openat, dir, path, flags, mode); }
int sys_open(const char *path, int flags, int mode) { return sys_openat(AT_FDCWD, path, flags, mode); }
int sys_close(int fd) { return (int)CALL1(close, fd); }
long sys_readv(int fd, const struct iovec *v, int n) { return CALL3(readv, fd, v, n); }
long sys_writev(int fd, const struct iovec *v, int n) { return CALL3(writev, fd, v, n); }
long sys_pread(int fd, void *to, size_t n, u64 at) { return CALL4(pread64, fd, to, n, at); }
long sys_pwrite(int fd, const void *from, size_t n, u64 at) { return CALL4(pwrite64, fd, from, n, at); }
long sys_lseek(int fd, long at, int whence) { return CALL3(lseek, fd, at, whence); }
int sys_fstat(int fd, struct stat *st) { return (int)CALL2(fstat, fd, st); }
int sys_fstatat(int dir, const char *path, struct stat *st, int flags) {
  return (int)CALL4(newfstatat, dir, path, st, flags);
}
int sys_statfs(const char *path, void *statfs) { return (int)CALL2(statfs, path, statfs); }
int sys_fstatfs(int fd, void *statfs) { return (int)CALL2(fstatfs, fd, statfs); }
long sys_getdents(int fd, void *to, size_t n) { return CALL3(getdents64, fd, to, n); }
long sys_readlinkat(int dir, const char *path, char *to, size_t n) { return CALL4(readlinkat, dir, path, to, n); }
int sys_unlinkat(int dir, const char *path, int flags) { return (int)CALL3(unlinkat, dir, path, flags); }
int sys_mkdirat(int dir, const char *path, int mode) { return (int)CALL3(mkdirat, dir, path, mode); }
int sys_renameat2(int olddir, const char *old, int newdir, const char *new_, u32 flags) {
  return (int)CALL5(renameat2, olddir, old, newdir, new_, flags);
}
int sys_renameat(int olddir, const char *old, int newdir, const char *new_) {
  return (int)CALL4(renameat, olddir, old, newdir, new_);
}
int sys_linkat(int olddir, const char *old, int newdir, const char *new_, int flags) {
  return (int)CALL5(linkat, olddir, old, newdir, new_, flags);
}
int sys_symlinkat(const char *target, int dir, const char *path) { return (int)CALL3(symlinkat, target, dir, path); }
int sys_fchmod(int fd, int mode) { return (int)CALL2(fchmod, fd, mode); }
int sys_fchmodat(int dir, const char *path, int mode) { return (int)CALL3(fchmodat, dir, path, mode); }
int sys_fchown(int fd, u32 uid, u32 gid) { return (int)CALL3(fchown, fd, uid, gid); }
int sys_fchownat(int dir, const char *path, u32 uid, u32 gid, int flags) {
  return (int)CALL5(fchownat, dir, path, uid, gid, flags);
}
int sys_utimensat(int dir, const char *path, const struct timespec times[2], int flags) {
  return (int)CALL4(utimensat, dir, path, times, flags);
}
int sys_ftruncate(int fd, u64 size) { return (int)CALL2(ftruncate, fd, size); }
int sys_truncate(const char *path, u64 size) { return (int)CALL2(truncate, path, size); }
int sys_fsync(int fd) { return (int)CALL1(fsync, fd); }
long sys_copy_file_range(int from, long *from_at, int to, long *to_at, size_t n, u32 flags) {
  return CALL6(copy_file_range, from, from_at, to, to_at, n, flags);
}
long sys_getcwd(char *to, size_t n) { return CALL2(getcwd, to, n); }
int sys_chdir(const char *path) { return (int)CALL1(chdir, path); }
int sys_umask(int mask) { return (int)CALL1(umask, mask); }
int sys_dup3(int from, int to, int flags) { return (int)CALL3(dup3, from, to, flags); }
int sys_fcntl(int fd, int command, long argument) { return (int)CALL3(fcntl, fd, command, argument); }
int sys_ioctl(int fd, unsigned long request, void *argument) { return (int)CALL3(ioctl, fd, request, argument); }
int sys_pipe2(int ends[2], int flags) { return (int)CALL2(pipe2, ends, flags); }
int sys_nonblock(int fd) {
  int flags = sys_fcntl(fd, F_GETFL, 0);
  return flags < 0 ? flags : sys_fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}
#ifndef __NR_close_range
#define __NR_close_range 436 /* Linux 5.9; one number on every architecture */
#endif
int sys_close_range(u32 first, u32 last, u32 flags) { return (int)CALL3(close_range, first, last, flags); }

int sys_socket(int family, int type, int protocol) { return (int)CALL3(socket, family, type, protocol); }
int sys_socketpair(int family, int type, int ends[2]) { return (int)CALL4(socketpair, family, type, 0, ends); }
int sys_bind(int fd, const void *address, u32 length) { return (int)CALL3(bind, fd, address, length); }
int sys_listen(int fd, int backlog) { return (int)CALL2(listen, fd, backlog); }
int sys_accept4(int fd, void *address, u32 *length, int flags) {
  return (int)CALL4(accept4, fd, address, length, flags);
}
int sys_connect(int fd, const void *address, u32 length) { return (int)CALL3(connect, fd, address, length); }
int sys_shutdown(int fd, int how) { return (int)CALL2(shutdown, fd, how); }
int sys_getsockname(int fd, void *address, u32 *length) { return (int)CALL3(getsockname, fd, address, length); }
int sys_getpeername(int fd, void *address, u32 *length) { return (int)CALL3(getpeername, fd, address, length); }
int sys_getsockopt(int fd, int level, int name, void *value, u32 *length) {
  return (int)CALL5(getsockopt, fd, level, name, value, length);
}
int sys_setsockopt(int fd, int level, int name, const void *value, u32 length) {
  return (int)CALL5(setsockopt, fd, level, name, value, length);
}
long sys_send(int fd, const void *from, size_t n, int flags) { return CALL6(sendto, fd, from, n, flags, 0, 0); }
long sys_recv(int fd, void *to, size_t n, int flags) { return CALL6(recvfrom, fd, to, n, flags, 0, 0); }

int sys_execve(const char *path, char *const *argv, char *const *envp) {
  return (int)CALL3(execve, path, argv, envp);
}
void sys_exit(int code) {
  for (;;) CALL1(exit_group, code);
}
int sys_getpid(void) { return (int)CALL0(getpid); }
int sys_getppid(void) { return (int)CALL0(getppid); }
u32 sys_getuid(void) { return (u32)CALL0(getuid); }
u32 sys_geteuid(void) { return (u32)CALL0(geteuid); }
u32 sys_getegid(void) { return (u32)CALL0(getegid); }
int sys_getresuid(u32 ids[3]) { return (int)CALL3(getresuid, &ids[0], &ids[1], &ids[2]); }
int sys_getresgid(u32 ids[3]) { return (int)CALL3(getresgid, &ids[0], &ids[1], &ids[2]); }
int sys_setresuid(u32 uid) { return (int)CALL3(setresuid, uid, uid, uid); }
int sys_setresgid(u32 gid) { return (int)CALL3(setresgid, gid, gid, gid); }
int sys_getgroups(int n, u32 *groups) { return (int)CALL2(getgroups, n, groups); }
int sys_setgroups(size_t n, const u32 *groups) { return (int)CALL2(setgroups, n, groups); }
bool sys_has_capabilities(void) {
  struct { u32 version; int pid; } header = {0x20080522 /* _LINUX_CAPABILITY_VERSION_3 */, 0};
  struct { u32 effective, permitted, inheritable; } sets[2] = {{0}};
  if (CALL2(capget, &header, sets)) return true;
  return sets[0].effective | sets[0].permitted | sets[1].effective | sets[1].permitted;
}
int sys_setsid(void) { return (int)CALL0(setsid); }
int sys_kill(int pid, int signal) { return (int)CALL2(kill, pid, signal); }
#ifndef __NR_pidfd_open
#define __NR_pidfd_open 434
#endif
#ifndef __NR_pidfd_send_signal
#define __NR_pidfd_send_signal 424
#endif
int sys_pidfd_open(int pid) { return (int)CALL2(pidfd_open, pid, 0); }
int sys_pidfd_send_signal(int pidfd, int signal) { return (int)CALL4(pidfd_send_signal, pidfd, signal, 0, 0); }
int sys_waitid(int which, int id, siginfo_t *info, int options) {
  return (int)CALL5(waitid, which, id, info, options, 0);
}
int sys_prctl(int option, unsigned long argument) { return (int)CALL5(prctl, option, argument, 0, 0, 0); }
int sys_seccomp_filter(const void *program) { return (int)CALL3(seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 0, program); }
int sys_prlimit(int resource, const struct rlimit64 *new_, struct rlimit64 *old) {
  return (int)CALL4(prlimit64, 0, resource, new_, old);
}
static int set_disposition(int signal, __sighandler_t handler) {
  /* asm/signal.h's struct is the kernel's own, unlike libc's. No handler is ever a function, so no sa_restorer. */
  struct sigaction action = {.sa_handler = handler};
  return (int)CALL4(rt_sigaction, signal, &action, 0, sizeof(u64));
}
int sys_signal_ignore(int signal) { return set_disposition(signal, SIG_IGN); }
int sys_signal_default(int signal) { return set_disposition(signal, SIG_DFL); }
int sys_sigmask(u64 mask, u64 *old) { return (int)CALL4(rt_sigprocmask, SIG_SETMASK, &mask, old, sizeof mask); }
int sys_signalfd(u64 mask) { return (int)CALL4(signalfd4, -1, &mask, sizeof mask, O_NONBLOCK | O_CLOEXEC); }

void *sys_reserve(size_t n) {
  long at = CALL6(mmap, 0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at < 0 && at > -4096 ? NULL : (void *)at;
}
int sys_munmap(void *at, size_t n) { return (int)CALL2(munmap, at, n); }
int sys_madvise(void *at, size_t n, int advice) { return (int)CALL3(madvise, at, n, advice); }
u64 sys_milliseconds(void) {
  struct timespec t = {0, 0};
  CALL2(clock_gettime, CLOCK_MONOTONIC, &t);
  return (u64)t.tv_sec * 1000 + (u64)t.tv_nsec / 1000000;
}
u64 sys_realtime_seconds(void) {
  struct timespec t = {0, 0};
  CALL2(clock_gettime, CLOCK_REALTIME, &t);
  return (u64)t.tv_sec;
}
void sys_sleep(u32 milliseconds) {
  struct timespec t = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
  CALL2(nanosleep, &t, 0);
}
long sys_getrandom(void *to, size_t n) { return CALL3(getrandom, to, n, 0); }
int sys_poll_one(int fd, short events, int milliseconds) {
  struct pollfd one = {.fd = fd, .events = events};
  struct timespec limit = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
  return (int)CALL5(ppoll, &one, 1, milliseconds < 0 ? NULL : &limit, 0, sizeof(u64));
}
int sys_epoll_create(void) { return (int)CALL1(epoll_create1, EPOLL_CLOEXEC); }
int sys_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
  return (int)CALL4(epoll_ctl, epoll, operation, fd, event);
}
int sys_epoll_wait(int epoll, struct epoll_event *events, int n, int milliseconds) {
  /* arm64 has only the p-form. */
  return (int)CALL6(epoll_pwait, epoll, events, n, milliseconds, 0, sizeof(u64));
}
