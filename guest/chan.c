#include "chan.h"

enum { BUCKETS = 2048, NONE = 0xffff };

/* Twice as many slots as ids: one that is ending keeps its slot for the grace, and its id is free at once. */
static struct chan *chan_table;
static u32 id_limit, slot_limit, slots_used, open_ids;
static u16 id_buckets[BUCKETS];
static u16 free_slots[2 * CHANNELS_MAX], free_count;
/* Queues are for open ids only, so `id_limit` of them are enough. */
static u8 *queue_memory;
static u16 free_queues[CHANNELS_MAX], free_queue_count;

bool chans_init(u32 n) {
  id_limit = n, slot_limit = 2 * n;
  chan_table = sys_reserve(slot_limit * sizeof *chan_table);
  queue_memory = sys_reserve((size_t)id_limit * WINDOW_SIZE);
  if (!chan_table || !queue_memory) return false;
  sys_madvise(queue_memory, (size_t)id_limit * WINDOW_SIZE, MADV_DONTFORK);
  for (u32 i = 0; i < BUCKETS; i++) id_buckets[i] = NONE;
  for (u32 i = 0; i < id_limit; i++) free_queues[free_queue_count++] = (u16)(id_limit - 1 - i);
  return true;
}

u32 chans_open(void) { return open_ids; }
u32 chans_used(void) { return slots_used; }
bool chans_full(void) { return open_ids == id_limit || (free_count == 0 && slots_used == slot_limit); }
struct chan *chan_at(u32 slot) { return slot < slots_used ? &chan_table[slot] : NULL; }

static u16 *bucket_of(u32 id) { return &id_buckets[(id ^ id >> 31) % BUCKETS]; }

struct chan *chan_find(u32 id) {
  for (u16 slot = *bucket_of(id); slot != NONE; slot = chan_table[slot].hash_next)
    if (chan_table[slot].id == id) return &chan_table[slot];
  return NULL;
}

struct chan *chan_new(u32 id, enum kind kind) {
  if (chans_full()) return NULL;
  u32 slot = free_count ? free_slots[--free_count] : slots_used++;
  struct chan *c = &chan_table[slot];
  /* Its place among the turns belongs to the slot: see flow.c. */
  *c = (struct chan){
    .id = id, .slot = slot, .generation = c->generation + 1, .kind = (u8)kind, .queued = c->queued};
  c->in = c->out = c->err = -1;
  c->hash_next = *bucket_of(id);
  *bucket_of(id) = (u16)slot;
  c->queue.base = queue_memory + (size_t)free_queues[--free_queue_count] * WINDOW_SIZE;
  c->queue.size = WINDOW_SIZE;
  open_ids++;
  return c;
}

void chan_retire(struct chan *c) {
  chan_close_in(c);
  chan_close_out(c);
  chan_close_err(c);
  chan_due(c, 0);
  u16 *at = bucket_of(c->id);
  while (*at != c->slot) at = &chan_table[*at].hash_next;
  *at = c->hash_next;
  open_ids--;
  /* Pages that a stalled program filled go back; a queue that never held anything has none. */
  sys_madvise(c->queue.base, WINDOW_SIZE, MADV_DONTNEED);
  free_queues[free_queue_count++] = (u16)((c->queue.base - queue_memory) / WINDOW_SIZE);
  c->kind = KIND_ENDING;
  c->open = false;
}

void chan_free(struct chan *c) {
  c->kind = KIND_FREE;
  c->generation++; /* events of this slot that were already fetched mean nothing now */
  free_slots[free_count++] = (u16)c->slot;
}

void chan_watch(struct chan *c, enum watch what, int fd, u32 events) {
  watch(fd, watch_key(what, c->slot, c->generation), events);
}

void chan_await_room(struct chan *c, bool wanted) {
  if (c->in >= 0) watch_room(c->in, watch_key(WATCH_BOTH, c->slot, c->generation), wanted);
}

/* One of a pair that may be a single descriptor: that one is closed with the second of them. */
static void close_half(int *fd, const int *other) {
  if (*fd == *other) *fd = -1;
  else unwatch_close(fd);
}
void chan_close_in(struct chan *c) {
  close_half(&c->in, &c->out);
  c->in_ready = false;
  c->queue.head = c->queue.used = 0;
}
void chan_close_out(struct chan *c) {
  close_half(&c->out, &c->in);
  c->out_ready = false;
}
void chan_close_err(struct chan *c) {
  unwatch_close(&c->err);
  c->err_ready = false;
}

u32 chans_due;
void chan_due(struct chan *c, u64 when) {
  if (when && !c->due) chans_due++;
  if (!when && c->due) chans_due--;
  c->due = when;
}

void chan_send(struct chan *c, u8 type, const void *payload, u32 n) { line_send(guest.line, type, c->id, payload, n); }

/* Not of what ends with the helper: what became of it the end of the exec tells, and CLOSED without EXIT is of no program. */
void chan_closed(struct chan *c) {
  if (!guest.ending) chan_send(c, F_CLOSED, NULL, 0);
}

void chan_opened(struct chan *c, u32 value) {
  u8 payload[8];
  c->allowance = c->kind == KIND_PROCESS && c->process.own_line ? 0 : WINDOW_SIZE;
  put_u32(payload, value);
  put_u32(payload + 4, c->allowance);
  c->open = true;
  chan_send(c, F_OPENED, payload, sizeof payload);
}

void send_fail(u32 id, int error, u8 stage) {
  u8 payload[5];
  put_u32(payload, (u32)error);
  payload[4] = stage;
  line_send(guest.line, F_FAIL, id, payload, sizeof payload);
}
