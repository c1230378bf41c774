/* Where the kernel enters a program without a libc: argc, argv and the environment lie on the stack (System V ABI). */
#include "sys.h"

int main(int argc, char **argv);

#ifndef HOSTED
char **environ;

#if defined(__x86_64__)
__asm__(".globl _start\n"
        "_start:\n"
        "  xor %ebp, %ebp\n"
        "  mov %rsp, %rdi\n"
        "  and $-16, %rsp\n"
        "  call start\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n"
        "_start:\n"
        "  mov x29, #0\n"
        "  mov x30, #0\n"
        "  mov x0, sp\n"
        "  and sp, x0, #-16\n"
        "  bl start\n");
#endif

void start(long *stack) __attribute__((noreturn, used));
void start(long *stack) {
  int argc = (int)stack[0];
  char **argv = (char **)(stack + 1);
  environ = argv + argc + 1;
  sys_exit(main(argc, argv));
}
#endif
