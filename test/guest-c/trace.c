/* trace PID CALL: attaches to PID, has it make that system call with arguments of zero, and says what became of it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int pid = atoi(argv[1]), status;
  struct user_regs_struct registers;
  if (ptrace(PTRACE_ATTACH, pid, 0, 0)) return perror("attach"), 1;
  waitpid(pid, &status, 0);
  ptrace(PTRACE_GETREGS, pid, 0, &registers);
  registers.rip -= 2; /* it waits behind a `syscall` */
  registers.rax = strtoull(argv[2], NULL, 10);
  registers.orig_rax = -1ULL;
  registers.rdi = registers.rsi = registers.rdx = registers.r10 = registers.r8 = registers.r9 = 0;
  ptrace(PTRACE_SETREGS, pid, 0, &registers);
  ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) return printf("killed by %d\n", WTERMSIG(status)), 0;
  ptrace(PTRACE_GETREGS, pid, 0, &registers);
  return printf("answered %lld\n", (long long)registers.rax), 0;
}
