#include "sftp.h"
#include "sftp_requests.h"

bool sftp_read_only;

void sftp_say(const char *what, const char *detail) {
  char line[256];
  struct text t = text_in(line, sizeof line - 1);
  text_add(&t, what);
  text_add(&t, detail);
  line[t.length++] = '\n';
  sys_write(2, line, t.length);
}

static void do_limits(u32 id, struct cursor *c) {
  (void)c;
  reply_begin(FXP_EXTENDED_REPLY, id);
  reply_u64(PACKET_LIMIT);
  reply_u64(DATA_LIMIT);
  reply_u64(DATA_LIMIT);
  reply_u64(handles_limit());
  reply_end();
}

struct request {
  u8 type;
  bool changes; /* refused when the server is read-only */
  void (*handle)(u32 id, struct cursor *c);
};
static const struct request requests[] = {
    {FXP_OPEN, false, do_open},         {FXP_CLOSE, false, do_close},       {FXP_READ, false, do_read},
    {FXP_WRITE, true, do_write},        {FXP_LSTAT, false, do_lstat},       {FXP_FSTAT, false, do_fstat},
    {FXP_SETSTAT, true, do_setstat},    {FXP_FSETSTAT, true, do_fsetstat},  {FXP_OPENDIR, false, do_opendir},
    {FXP_READDIR, false, do_readdir},   {FXP_REMOVE, true, do_remove},      {FXP_MKDIR, true, do_mkdir},
    {FXP_RMDIR, true, do_rmdir},        {FXP_REALPATH, false, do_realpath}, {FXP_STAT, false, do_stat},
    {FXP_RENAME, true, do_rename},      {FXP_READLINK, false, do_readlink}, {FXP_SYMLINK, true, do_symlink},
};

struct extension {
  const char *name, *version;
  bool changes;
  void (*handle)(u32 id, struct cursor *c);
};
/* In the order in which OpenSSH names them. */
static const struct extension extensions[] = {
    {"posix-rename@openssh.com", "1", true, do_posix_rename},
    {"statvfs@openssh.com", "2", false, do_statvfs},
    {"fstatvfs@openssh.com", "2", false, do_fstatvfs},
    {"hardlink@openssh.com", "1", true, do_hardlink},
    {"fsync@openssh.com", "1", true, do_fsync},
    {"lsetstat@openssh.com", "1", true, do_lsetstat},
    {"limits@openssh.com", "1", false, do_limits},
    {"expand-path@openssh.com", "1", false, do_expand_path},
    {"copy-data", "1", true, do_copy_data},
    {"home-directory", "1", false, do_home_directory},
    {"users-groups-by-id@openssh.com", "1", false, do_users_groups},
};
enum {
  REQUESTS = sizeof requests / sizeof *requests,
  EXTENSIONS = sizeof extensions / sizeof *extensions,
};

static void do_init(struct cursor *c) {
  take_u32(c); /* the client's version: ours is 3 whatever it says */
  if (c->bad) return;
  reply_begin(FXP_VERSION, 3); /* the id's place is the version's */
  for (u32 i = 0; i < EXTENSIONS; i++) reply_text(extensions[i].name), reply_text(extensions[i].version);
  reply_end();
}

static void handle_allowed(bool changes, void (*handle)(u32, struct cursor *), u32 id, struct cursor *c) {
  if (changes && sftp_read_only)
    reply_status(id, FX_PERMISSION_DENIED);
  else
    handle(id, c);
}
static void do_extended(u32 id, struct cursor *c) {
  struct bytes name = take_string(c);
  if (c->bad) return;
  for (u32 i = 0; i < EXTENSIONS; i++) {
    const struct extension *e = &extensions[i];
    if (strlen(e->name) == name.n && !memcmp(e->name, name.at, name.n)) return handle_allowed(e->changes, e->handle, id, c);
  }
  reply_status(id, FX_OP_UNSUPPORTED);
}
static void do_request(u8 type, struct cursor *c) {
  u32 id = take_u32(c);
  if (c->bad) return;
  if (type == FXP_EXTENDED) return do_extended(id, c);
  for (u32 i = 0; i < REQUESTS; i++)
    if (requests[i].type == type) return handle_allowed(requests[i].changes, requests[i].handle, id, c);
  reply_status(id, FX_OP_UNSUPPORTED);
}

static int end_serving(enum incoming why) {
  bool flushed = reply_flush();
  if (why == PACKETS_MALFORMED) sftp_say("sftp-server: ", "malformed packet, giving up");
  if (why == PACKETS_BROKEN && flushed) sftp_say("sftp-server: ", "cannot read requests");
  return why == PACKETS_END ? 0 : 1;
}

static int serve_packets(void) {
  bool begun = false;
  for (;;) {
    struct cursor packet;
    enum incoming came = packet_next(&packet);
    if (came != PACKET) return end_serving(came);
    u8 type = take_u8(&packet);
    if (type == FXP_INIT)
      do_init(&packet), begun = true;
    else if (begun)
      do_request(type, &packet);
    else
      packet.bad = true;
    if (packet.bad) return end_serving(PACKETS_MALFORMED);
  }
}

int sftp_serve(int in, int out, const char *start) {
  /* A client that is gone, a file that reaches its limit: errors of write(), to be told. */
  sys_signal_ignore(SIGPIPE);
  sys_signal_ignore(SIGXFSZ);
  if (start && *start) {
    int r = sys_chdir(start);
    if (r) {
      sftp_say("Could not chdir to home directory: ", str_error(-r) ? str_error(-r) : "error");
      sys_chdir("/");
    }
  }
  packets_open(in, out);
  handles_open();
  int code = serve_packets();
  handles_close();
  return code;
}
