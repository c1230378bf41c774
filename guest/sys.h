/* The kernel's interface, and nothing of a libc: every call returns as the kernel does, a negative errno for a failure. */
#ifndef SYS_H
#define SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <asm/socket.h>
#include <asm/stat.h>
#include <asm/termbits.h>
#include <asm/termios.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/mman.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/signal.h>
#include <linux/socket.h>
#include <linux/stat.h>
#include <linux/time.h>
#include <linux/uio.h>
#include <linux/un.h>
#include <linux/wait.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* The uapi headers leave these to libc; the numbers are the same on x86-64 and arm64. */
enum { AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10 };
enum { SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_SEQPACKET = 5, SOCK_NONBLOCK = O_NONBLOCK, SOCK_CLOEXEC = O_CLOEXEC };
enum { SHUT_RD, SHUT_WR, SHUT_RDWR };
enum { MSG_DONTWAIT_ = 0x40, MSG_NOSIGNAL_ = 0x4000 };
enum { SEEK_SET_ = 0, SEEK_CUR_ = 1, SEEK_END_ = 2 };

extern char **environ;

/* files */
int sys_openat(int dir, const char *path, int flags, int mode);
int sys_open(const char *path, int flags, int mode);
int sys_close(int fd);
long sys_read(int fd, void *to, size_t n);
long sys_write(int fd, const void *from, size_t n);
long sys_readv(int fd, const struct iovec *v, int n);
long sys_writev(int fd, const struct iovec *v, int n);
long sys_pread(int fd, void *to, size_t n, u64 at);
long sys_pwrite(int fd, const void *from, size_t n, u64 at);
long sys_lseek(int fd, long at, int whence);
int sys_fstat(int fd, struct stat *st);
int sys_fstatat(int dir, const char *path, struct stat *st, int flags);
int sys_statfs(const char *path, void *statfs);
int sys_fstatfs(int fd, void *statfs);
long sys_getdents(int fd, void *to, size_t n);
long sys_readlinkat(int dir, const char *path, char *to, size_t n);
int sys_unlinkat(int dir, const char *path, int flags);
int sys_mkdirat(int dir, const char *path, int mode);
int sys_renameat2(int olddir, const char *old, int newdir, const char *new_, u32 flags);
int sys_renameat(int olddir, const char *old, int newdir, const char *new_);
int sys_linkat(int olddir, const char *old, int newdir, const char *new_, int flags);
int sys_symlinkat(const char *target, int dir, const char *path);
int sys_fchmod(int fd, int mode);
int sys_fchmodat(int dir, const char *path, int mode);
int sys_fchown(int fd, u32 uid, u32 gid);
int sys_fchownat(int dir, const char *path, u32 uid, u32 gid, int flags);
int sys_utimensat(int dir, const char *path, const struct timespec times[2], int flags);
int sys_ftruncate(int fd, u64 size);
int sys_truncate(const char *path, u64 size);
int sys_fsync(int fd);
long sys_copy_file_range(int from, long *from_at, int to, long *to_at, size_t n, u32 flags);
long sys_getcwd(char *to, size_t n);
int sys_chdir(const char *path);
int sys_umask(int mask);
int sys_dup3(int from, int to, int flags);
int sys_fcntl(int fd, int command, long argument);
int sys_ioctl(int fd, unsigned long request, void *argument);
int sys_pipe2(int ends[2], int flags);
int sys_nonblock(int fd);
int sys_close_range(u32 first, u32 last, u32 flags);

/* sockets */
int sys_socket(int family, int type, int protocol);
int sys_socketpair(int family, int type, int ends[2]);
int sys_bind(int fd, const void *address, u32 length);
int sys_listen(int fd, int backlog);
int sys_accept4(int fd, void *address, u32 *length, int flags);
int sys_connect(int fd, const void *address, u32 length);
int sys_shutdown(int fd, int how);
int sys_getsockname(int fd, void *address, u32 *length);
int sys_getpeername(int fd, void *address, u32 *length);
int sys_getsockopt(int fd, int level, int name, void *value, u32 *length);
int sys_setsockopt(int fd, int level, int name, const void *value, u32 length);
long sys_send(int fd, const void *from, size_t n, int flags);
long sys_recv(int fd, void *to, size_t n, int flags);

/* processes */
int sys_fork(void);
int sys_execve(const char *path, char *const *argv, char *const *envp);
void sys_exit(int code) __attribute__((noreturn));
int sys_getpid(void);
int sys_getppid(void);
u32 sys_getuid(void);
u32 sys_geteuid(void);
u32 sys_getegid(void);
/* Real, effective and saved. */
int sys_getresuid(u32 ids[3]);
int sys_getresgid(u32 ids[3]);
int sys_setresuid(u32 uid);
int sys_setresgid(u32 gid);
int sys_getgroups(int n, u32 *groups);
int sys_setgroups(size_t n, const u32 *groups);
bool sys_has_capabilities(void); /* effective or permitted ones, or where it cannot be told */
int sys_setsid(void);
int sys_kill(int pid, int signal);
int sys_pidfd_open(int pid);
int sys_pidfd_send_signal(int pidfd, int signal);
int sys_waitid(int which, int id, siginfo_t *info, int options);
int sys_prctl(int option, unsigned long argument);
int sys_seccomp_filter(const void *program);
int sys_prlimit(int resource, const struct rlimit64 *new_, struct rlimit64 *old);
int sys_signal_ignore(int signal);
int sys_signal_default(int signal);
int sys_sigmask(u64 mask, u64 *old);
int sys_signalfd(u64 mask);

/* memory, time, chance, events */
void *sys_reserve(size_t n); /* zeroed, committed page by page as it is touched; NULL when there is none */
int sys_munmap(void *at, size_t n);
int sys_madvise(void *at, size_t n, int advice);
u64 sys_milliseconds(void); /* CLOCK_MONOTONIC */
u64 sys_realtime_seconds(void);
void sys_sleep(u32 milliseconds);
long sys_getrandom(void *to, size_t n);
int sys_poll_one(int fd, short events, int milliseconds); /* -1: without limit */
int sys_epoll_create(void);
int sys_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int sys_epoll_wait(int epoll, struct epoll_event *events, int n, int milliseconds);

/* A signal set as the kernel takes it: bit n-1 is signal n. */
static inline u64 sigbit(int signal) { return (u64)1 << (signal - 1); }

#endif
