#include "resolve.h"
#include "dns.h"
#include "socket.h"
#include "textfile.h"

/* ---- what needs no server ---- */

static bool is_localhost(const char *name) {
  size_t n = strlen(name);
  if (n && name[n - 1] == '.') n--;
  if (n < 9 || (n > 9 && name[n - 10] != '.')) return false;
  char last[10];
  struct text t = text_in(last, sizeof last);
  text_bytes(&t, name + n - 9, 9);
  return str_equal_nocase(last, "localhost");
}

bool resolve_local(const char *name, struct address_list *found) {
  if (is_localhost(name)) { /* RFC 6761 section 6.3: never a matter of files or servers */
    address_add(found, address_v4(0x7f000001));
    address_add(found, address_v6_loopback());
    return true;
  }
  struct textfile f;
  struct address a;
  if (!textfile_open(&f, "/etc/hosts")) return false;
  for (char *line; (line = textfile_line(&f));) {
    char *word = next_word(&line);
    if (!word || !address_parse(&a, word)) continue;
    while ((word = next_word(&line)))
      if (str_equal_nocase(word, name)) {
        address_add(found, a);
        break;
      }
  }
  return found->n > 0;
}

/* ---- resolv.conf(5) ---- */

enum { SERVERS = 3, SEARCH = 6, SEARCH_BYTES = 256 };

struct conf {
  u32 servers, searches, ndots, timeout, attempts;
  struct address server[SERVERS];
  u16 search_at[SEARCH];
  char search[SEARCH_BYTES];
};

static void read_search(struct conf *conf, char *line) {
  u32 used = 0;
  conf->searches = 0; /* the last of several counts */
  for (char *word; conf->searches < SEARCH && (word = next_word(&line));) {
    u32 n = (u32)strlen(word) + 1;
    if (used + n > SEARCH_BYTES) break;
    memcpy(conf->search + used, word, n);
    conf->search_at[conf->searches++] = (u16)used;
    used += n;
  }
}
static void read_option(const char *word, const char *name, u32 min, u32 max, u32 *value) {
  u32 v;
  if (!str_starts(word, name)) return;
  word += strlen(name);
  if (str_u32(&word, &v)) *value = v < min ? min : v > max ? max : v;
}

static void read_conf(struct conf *conf) {
  struct textfile f;
  *conf = (struct conf){.ndots = 1, .timeout = 5, .attempts = 2};
  if (textfile_open(&f, "/etc/resolv.conf"))
    for (char *line; (line = textfile_line(&f));) {
      char *word = next_word(&line);
      if (!word) continue;
      if (str_equal(word, "nameserver") && conf->servers < SERVERS && (word = next_word(&line))) {
        if (address_parse(&conf->server[conf->servers], word)) conf->servers++;
      } else if (str_equal(word, "search") || str_equal(word, "domain")) {
        read_search(conf, line);
      } else if (str_equal(word, "options")) {
        while ((word = next_word(&line))) {
          read_option(word, "ndots:", 0, 15, &conf->ndots);
          read_option(word, "timeout:", 1, 30, &conf->timeout);
          read_option(word, "attempts:", 1, 5, &conf->attempts);
        }
      }
    }
  if (!conf->servers) conf->server[conf->servers++] = address_v4(0x7f000001);
}

/* ---- lookups under way ---- */

enum { LOOKUPS = 32, LIMIT = 30000, PORT = 53 };
enum { V4, V6, TYPES };

static struct lookup {
  bool used;
  u32 generation;
  struct chan *chan;
  int fd;
  struct conf conf;
  char name[DNS_NAME_MAX + 2];
  u32 candidate, tried;  /* which name of the search list; how many of its servers x attempts */
  bool answered[TYPES];  /* for this candidate */
  bool heard, failed;    /* any server at all; with an error */
  u8 query[TYPES][DNS_QUERY_MAX];
  u32 length[TYPES];
  struct address_list found[TYPES];
  u64 due, limit;
} lookups[LOOKUPS];
static u32 under_way;

static void lookup_over(struct lookup *l) {
  unwatch_close(&l->fd);
  l->used = false;
  l->generation++;
  under_way--;
}

static void lookup_answer(struct lookup *l, int error) {
  struct chan *c = l->chan;
  struct address_list all = {0};
  /* IPv4 first: that is what container networks have, and an IPv6 route into nothing costs minutes. */
  for (int type = 0; type < TYPES; type++)
    for (u32 i = 0; i < l->found[type].n; i++) address_add(&all, l->found[type].at[i]);
  lookup_over(l);
  socket_resolved(c, &all, all.n ? 0 : error);
}

/* Names to try, in the order of resolv.conf(5): with "ndots" dots as it is first, else last; one with a dot at its end only so. */
static bool candidate_name(const struct lookup *l, char to[DNS_NAME_MAX + 2]) {
  u32 dots = 0, searches = l->conf.searches, at = l->candidate;
  size_t n = strlen(l->name);
  for (const char *s = l->name; *s; s++) dots += *s == '.';
  if (l->name[n - 1] == '.') searches = 0;
  if (at > searches) return false;
  bool bare_first = dots >= l->conf.ndots;
  bool bare = searches == 0 || (bare_first ? at == 0 : at == searches);
  struct text t = text_in(to, DNS_NAME_MAX + 2);
  text_add(&t, l->name);
  if (!bare) {
    text_add(&t, ".");
    text_add(&t, l->conf.search + l->conf.search_at[bare_first ? at - 1 : at]);
  }
  return true;
}

static bool make_queries(struct lookup *l) {
  char name[DNS_NAME_MAX + 2];
  u16 ids[TYPES];
  for (; candidate_name(l, name); l->candidate++) {
    sys_getrandom(ids, sizeof ids);
    l->length[V4] = dns_query(l->query[V4], ids[V4], DNS_A, name);
    l->length[V6] = dns_query(l->query[V6], ids[V6], DNS_AAAA, name);
    l->answered[V4] = l->answered[V6] = false;
    l->tried = 0;
    if (l->length[V4]) return true; /* else too long with that domain, or no name at all: the next one */
  }
  return false;
}

static bool ask_server(struct lookup *l, u32 server) {
  union socket_address address;
  u32 length = socket_address_of(&address, &l->conf.server[server], PORT);
  /* A new socket each time: a new port, chosen by the kernel, that answers must find. */
  unwatch_close(&l->fd);
  l->fd = sys_socket(address.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (l->fd < 0 || sys_connect(l->fd, &address, length) < 0) return false;
  watch(l->fd, watch_key(WATCH_LOOKUP, (u32)(l - lookups), l->generation), EPOLLIN);
  bool sent = false;
  for (int type = 0; type < TYPES; type++)
    if (!l->answered[type]) sent |= sys_send(l->fd, l->query[type], l->length[type], MSG_NOSIGNAL_) > 0;
  return sent;
}

/* On to the next server, the next round, the next name, or the end. */
static void lookup_proceed(struct lookup *l) {
  for (;;) {
    bool done = l->answered[V4] && l->answered[V6];
    if (l->found[V4].n || l->found[V6].n) return lookup_answer(l, 0);
    if (guest.now >= l->limit) return lookup_answer(l, ETIMEDOUT);
    if (done || l->tried >= l->conf.servers * l->conf.attempts) {
      if (!done && !l->heard) return lookup_answer(l, ETIMEDOUT); /* nobody is there: other names would not be heard, either */
      if (!done) l->failed = true;
      l->candidate++;
      if (!make_queries(l)) return lookup_answer(l, l->failed ? EIO : ENOENT);
    }
    l->due = guest.now + (u64)l->conf.timeout * 1000;
    if (ask_server(l, l->tried++ % l->conf.servers)) return;
  }
}

int resolve_start(struct chan *c, const char *name) {
  struct lookup *l = lookups;
  while (l < lookups + LOOKUPS && l->used) l++;
  if (l == lookups + LOOKUPS) return EAGAIN;
  *l = (struct lookup){.used = true, .generation = l->generation + 1, .chan = c, .fd = -1};
  struct text t = text_in(l->name, sizeof l->name);
  text_add(&t, name);
  read_conf(&l->conf);
  if (!*name || t.cut || !make_queries(l)) {
    l->used = false;
    return ENOENT;
  }
  under_way++;
  l->limit = guest.now + LIMIT;
  l->due = guest.now; /* the first question is asked by resolve_tick: an answer is never given from in here */
  return 0;
}

void resolve_cancel(struct chan *c) {
  for (u32 i = 0; i < LOOKUPS; i++)
    if (lookups[i].used && lookups[i].chan == c) lookup_over(&lookups[i]);
}

static void take_answer(struct lookup *l, struct bytes packet) {
  for (int type = 0; type < TYPES; type++) {
    if (l->answered[type]) continue;
    struct bytes query = {l->query[type], l->length[type]};
    switch (dns_parse(packet, query, &l->found[type])) {
    case DNS_NOT_OURS: continue;
    case DNS_SERVER_FAILED:
      l->heard = l->failed = true;
      l->due = guest.now; /* the next server */
      return;
    case DNS_NO_SUCH_NAME:
    case DNS_ANSWERED: break;
    }
    l->heard = true;
    l->answered[type] = true;
    /* Some servers never answer for AAAA: with an address in hand that is not waited for long. */
    if (l->found[type].n && l->due > guest.now + 500) l->due = guest.now + 500;
    return;
  }
}

void resolve_event(u32 lookup, u32 generation) {
  struct lookup *l = &lookups[lookup];
  u8 packet[1500];
  if (lookup >= LOOKUPS || !l->used || l->generation != generation) return;
  for (long n; (n = sys_recv(l->fd, packet, sizeof packet, 0)) != -EAGAIN;) {
    if (n < 0) { /* refused: nobody listens there */
      l->due = guest.now;
      break;
    }
    take_answer(l, (struct bytes){packet, (u32)n});
  }
  if (l->answered[V4] && l->answered[V6]) lookup_proceed(l);
}

u64 resolve_tick(void) {
  u64 next = 0;
  for (u32 i = 0; under_way && i < LOOKUPS; i++) {
    struct lookup *l = &lookups[i];
    if (l->used && guest.now >= l->due) lookup_proceed(l);
    if (l->used && (!next || l->due < next)) next = l->due;
  }
  return next;
}
