/* Terminal modes as SSH encodes them: u8 opcode, u32 value, until TTY_OP_END or an opcode of 160 and more. */
#include "pty.h"

enum { OP_END = 0, OP_LAST_CHARACTER = 18, OP_ISPEED = 128, OP_OSPEED = 129, OP_UNDEFINED = 160 };

/* c_cc, by opcode - 1; -1 where Linux has no such character (DSUSP, FLUSH, STATUS). */
static const signed char characters[OP_LAST_CHARACTER] = {
  VINTR, VQUIT, VERASE, VKILL, VEOF, VEOL, VEOL2, VSTART, VSTOP, VSUSP, -1, VREPRINT, VWERASE, VLNEXT, -1, VSWTC, -1,
  VDISCARD,
};

enum word { I, O, C, L };
static const struct {
  u8 opcode, word;
  u16 bit;
} flags[] = {
  {30, I, IGNPAR},  {31, I, PARMRK}, {32, I, INPCK},   {33, I, ISTRIP},  {34, I, INLCR},   {35, I, IGNCR},
  {36, I, ICRNL},   {37, I, IUCLC},  {38, I, IXON},    {39, I, IXANY},   {40, I, IXOFF},   {41, I, IMAXBEL},
  {42, I, IUTF8},   {50, L, ISIG},   {51, L, ICANON},  {52, L, XCASE},   {53, L, ECHO},    {54, L, ECHOE},
  {55, L, ECHOK},   {56, L, ECHONL}, {57, L, NOFLSH},  {58, L, TOSTOP},  {59, L, IEXTEN},  {60, L, ECHOCTL},
  {61, L, ECHOKE},  {62, L, PENDIN}, {70, O, OPOST},   {71, O, OLCUC},   {72, O, ONLCR},   {73, O, OCRNL},
  {74, O, ONOCR},   {75, O, ONLRET}, {92, C, PARENB},  {93, C, PARODD},
};

static const struct {
  u32 baud;
  u16 code;
} speeds[] = {
  {50, B50},         {75, B75},         {110, B110},       {134, B134},       {150, B150},       {200, B200},
  {300, B300},       {600, B600},       {1200, B1200},     {1800, B1800},     {2400, B2400},     {4800, B4800},
  {9600, B9600},     {19200, B19200},   {38400, B38400},   {57600, B57600},   {115200, B115200}, {230400, B230400},
  {460800, B460800}, {500000, B500000}, {576000, B576000}, {921600, B921600}, {1000000, B1000000},
  {1152000, B1152000}, {1500000, B1500000}, {2000000, B2000000}, {2500000, B2500000}, {3000000, B3000000},
  {3500000, B3500000}, {4000000, B4000000},
};

/* Only the kernel's own codes: stty shows an arbitrary speed (BOTHER) as 0. */
static bool speed_code(u32 baud, u32 *code) {
  for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++)
    if (speeds[i].baud == baud) {
      *code = speeds[i].code;
      return true;
    }
  return false;
}

static void apply_mode(struct termios *t, u8 opcode, u32 value) {
  u32 code;
  if (opcode <= OP_LAST_CHARACTER) {
    int at = characters[opcode - 1];
    if (at >= 0) t->c_cc[at] = value == 255 ? 0 : (u8)value; /* 255: not used, _POSIX_VDISABLE is 0 here */
    return;
  }
  switch (opcode) {
  /* CS7 is one bit of CS8's two: cleared as a flag (what sshd does) it would make five bits of eight. */
  case 90:
    if (value) t->c_cflag = (t->c_cflag & ~(tcflag_t)CSIZE) | CS7;
    return;
  case 91:
    if (value) t->c_cflag = (t->c_cflag & ~(tcflag_t)CSIZE) | CS8;
    return;
  case OP_ISPEED:
    if (speed_code(value, &code)) t->c_cflag = (t->c_cflag & ~(tcflag_t)CIBAUD) | code << IBSHIFT;
    return;
  case OP_OSPEED:
    if (speed_code(value, &code)) t->c_cflag = (t->c_cflag & ~(tcflag_t)CBAUD) | code;
    return;
  }
  tcflag_t *words[] = {[I] = &t->c_iflag, [O] = &t->c_oflag, [C] = &t->c_cflag, [L] = &t->c_lflag};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    if (flags[i].opcode != opcode) continue;
    if (value) *words[flags[i].word] |= flags[i].bit;
    else *words[flags[i].word] &= ~(tcflag_t)flags[i].bit;
  }
}

void modes_apply(int slave, struct bytes modes) {
  struct termios t;
  if (sys_ioctl(slave, TCGETS, &t) < 0) return;
  for (; modes.n >= 5; modes.at += 5, modes.n -= 5) {
    if (modes.at[0] == OP_END || modes.at[0] >= OP_UNDEFINED) break;
    apply_mode(&t, modes.at[0], get_u32(modes.at + 1));
  }
  /* An input speed equal to the output speed is written as none: then a later change of the one changes both. */
  if ((t.c_cflag >> IBSHIFT & CBAUD) == (t.c_cflag & CBAUD)) t.c_cflag &= ~(tcflag_t)CIBAUD;
  sys_ioctl(slave, TCSETS, &t);
}
