/* Mutated packets into the sftp server, in one process, under ASan and UBSan: fuzz DIRECTORY PACKETS SEED.
 * Runs locked into DIRECTORY (chroot, nobody): a mutated REMOVE must find nothing that somebody needs. Exit 77: cannot be
 * locked in. Prints "packets N sessions N malformed N". */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int sftp_serve(int in, int out, const char *start);

static uint64_t state;
static uint32_t random32(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (uint32_t)(state >> 16);
}
static uint32_t below(uint32_t n) { return random32() % n; }

static uint8_t packet[300 << 10];
static size_t length;
static void bytes(const void *at, size_t n) { memcpy(packet + length, at, n), length += n; }
static void u32(uint32_t v) { bytes((uint8_t[]){v >> 24, v >> 16, v >> 8, v}, 4); }
static void u64(uint64_t v) { u32(v >> 32), u32(v); }
static void string(const char *s) { u32(strlen(s)), bytes(s, strlen(s)); }
static void path(void) {
  static const char *const paths[] = {"file", "dir", "link", "loop",  "missing", "dir/inner", "/",     "..", "",
                                      "fifo", "big", ".",    "~root", "~/x",     "dir/../",   "n/e/w", "~", "dir/new"};
  if (below(30)) return string(paths[below(sizeof paths / sizeof *paths)]);
  uint32_t n = below(10000);
  u32(n), memset(packet + length, 'p', n), length += n;
}
static void handle(void) { u32(4), u32((below(6) << 16) | below(8)); }
static void attributes(void) {
  uint32_t flags = below(16) | (below(8) ? 0 : 1u << 31);
  u32(flags);
  if (flags & 1) u64(below(3) ? below(100000) : (uint64_t)random32() << 32);
  if (flags & 2) u32(below(3) ? 65534 : random32()), u32(65534);
  if (flags & 4) u32(0700 | below(010000));
  if (flags & 8) u32(random32()), u32(random32());
  if (flags >> 31) u32(1), string("type"), string("data");
}
static uint64_t offset(void) { return below(4) ? below(200000) : (uint64_t)random32() << below(33); }

static void extended(void) {
  static const char *const names[] = {"posix-rename@openssh.com", "statvfs@openssh.com",
                                      "fstatvfs@openssh.com",     "hardlink@openssh.com",
                                      "fsync@openssh.com",        "lsetstat@openssh.com",
                                      "limits@openssh.com",       "expand-path@openssh.com",
                                      "copy-data",                "home-directory",
                                      "users-groups-by-id@openssh.com", "other"};
  uint32_t which = below(12);
  string(names[which]);
  switch (which) {
  case 0: case 3: path(), path(); break;
  case 2: case 4: handle(); break;
  case 5: path(), attributes(); break;
  case 8: handle(), u64(offset()), u64(below(3) ? below(100000) : 0), handle(), u64(offset()); break;
  case 10: {
    for (int i = 0; i < 2; i++) {
      uint32_t n = below(20) ? below(8) : below(30000);
      u32(4 * n);
      while (n--) u32(below(2000));
    }
    break;
  }
  default: path();
  }
}
static void request(void) {
  static const uint8_t types[] = {3, 3, 3, 4, 5, 5, 6, 6, 7, 8, 9, 10, 11, 11, 12, 12, 13, 14, 15, 16, 17, 18, 19, 20, 200, 200, 200};
  uint8_t type = below(50) ? types[below(sizeof types)] : (uint8_t)random32();
  length = 4;
  bytes(&type, 1);
  u32(random32());
  switch (type) {
  case 3: path(), u32(below(64)), attributes(); break;
  case 4: case 8: case 12: handle(); break;
  case 5: handle(), u64(offset()), u32(below(4) ? below(50000) : random32()); break;
  case 6: {
    handle(), u64(offset());
    uint32_t n = below(10) ? below(500) : below(262000);
    u32(n), length += n;
    break;
  }
  case 9: case 14: path(), attributes(); break;
  case 10: handle(), attributes(); break;
  case 18: case 20: path(), path(); break;
  case 200: extended(); break;
  default: path();
  }
}
static void mutate(void) {
  for (uint32_t n = 1 + below(4); n; n--) {
    size_t at = 4 + below((uint32_t)(length - 4 < 200 || !below(4) ? length - 4 : 200));
    switch (below(6)) {
    case 0: packet[at] ^= (uint8_t)(1u << below(8)); break;
    case 1: packet[at] = (uint8_t)random32(); break;
    case 2: if (at + 4 <= length) memcpy(packet + at, (uint8_t[4]){0xff, 0xff, 0xff, (uint8_t)random32()}, 4); break;
    case 3: if (at + 4 <= length) memset(packet + at, 0, 4); break;
    case 4: if (length > 6) length = 5 + below((uint32_t)(length - 5)); break;
    default: if (length < sizeof packet - 8) memmove(packet + at + 4, packet + at, length - at), length += 4;
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  unsigned long wanted = strtoul(argv[2], NULL, 10), packets = 0, sessions = 0, malformed = 0;
  state = strtoul(argv[3], NULL, 10) * 2 + 88172645463325253ull;
  int in = memfd_create("in", 0), out = open("/dev/null", O_WRONLY), null = open("/dev/null", O_RDWR);
  int report = dup(2);
  __sanitizer_set_report_fd((void *)(intptr_t)report);
  if (chdir(argv[1]) || chroot(".") || setgroups(0, NULL) || setgid(65534) || setuid(65534)) return 77;
  struct rlimit size = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_FSIZE, &size);
  signal(SIGXFSZ, SIG_IGN);
  alarm(1000);
  dup2(null, 2);
  uint8_t *stream = malloc(4 << 20);
  while (packets < wanted) {
    size_t n = 9;
    memcpy(stream, "\0\0\0\5\1\0\0\0\3", 9);
    for (uint32_t left = 1 + below(30); left; left--) {
      request();
      if (!below(6)) mutate();
      uint32_t told = (uint32_t)length - 4;
      if (!below(100)) told += below(9) - 4;
      packet[0] = told >> 24, packet[1] = told >> 16, packet[2] = told >> 8, packet[3] = told;
      if (n + length > 4 << 20) break;
      memcpy(stream + n, packet, length), n += length, packets++;
    }
    lseek(in, 0, SEEK_SET);
    if (ftruncate(in, 0)) return 1;
    for (size_t done = 0; done < n;) { /* within RLIMIT_FSIZE: a session is at most 1 MiB of it */
      ssize_t r = write(in, stream + done, n - done);
      if (r <= 0) break;
      done += (size_t)r;
    }
    lseek(in, 0, SEEK_SET);
    int code = sftp_serve(in, out, "/");
    if (code) malformed++;
    sessions++;
    if (sessions % 50 == 0) { /* what was removed comes back, or nothing would be found any more */
      mkdir("/dir", 0755);
      close(open("/file", O_CREAT | O_WRONLY | O_NONBLOCK, 0644)), close(open("/dir/inner", O_CREAT | O_WRONLY | O_NONBLOCK, 0644));
      chmod("/dir", 0755);
      (void)!symlink("dir", "/link"), (void)!symlink("loop", "/loop"), mkfifo("/fifo", 0644);
      int big = open("/big", O_CREAT | O_WRONLY | O_NONBLOCK, 0644);
      if (big >= 0) (void)!ftruncate(big, 500000), close(big);
    }
  }
  char line[128];
  int n = snprintf(line, sizeof line, "packets %lu sessions %lu malformed %lu\n", packets, sessions, malformed);
  return write(1, line, (size_t)n) == n ? 0 : 1;
}
