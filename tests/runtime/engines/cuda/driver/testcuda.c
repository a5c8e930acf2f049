// A CUDA driver for tests: host memory behind the driver's interface, streams as ordered queues that threads work off.
//
// What the real one refuses, this one refuses: a call without a context, a pageable source in an asynchronous copy (done
// at once and counted), a wait for work outside a capture, unknown addresses. Device memory is full of 0xAB when it is
// given out, so that whoever reads what nobody wrote shows. The functions testcuda_* below make faults and count.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_CONTEXT = 201,
       INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, CAPTURE_UNSUPPORTED = 900, CAPTURE_ISOLATION = 905 };
enum { DISABLE_TIMING = 2, FRESH = 0xAB, FREED = 0xDD, MAX_FAULTS = 16, MAX_DEPTH = 64 };
typedef uint64_t Ptr;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;  // one for everything: this driver is to be right, not fast
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

// --- counters and faults -------------------------------------------------------------------------------------------

#define COUNTERS(X) X(device_bytes) X(pinned_bytes) X(streams) X(events) X(graphs) X(pushes) X(pops) X(host_copies) \
  X(sync_copies) X(pageable_copies) X(async_copies) X(kernels) X(graph_launches) X(host_functions) X(bad_addresses) X(calls) \
  X(meetings)
#define DECLARE(name) static int64_t n_##name;
COUNTERS(DECLARE)

int64_t testcuda_count(const char *name) {
  int64_t found = -1;
  pthread_mutex_lock(&lock);
#define LOOK(each) if (!strcmp(name, #each)) found = n_##each;
  COUNTERS(LOOK)
  pthread_mutex_unlock(&lock);
  return found;
}

static struct { char name[64]; int after, code; } faults[MAX_FAULTS];
static int lost, capability = 86, integrated, swallowing;
static int64_t memory_limit = (int64_t)8 << 30, copy_delay_ns;

// The call of `name` after `after` others of it returns `code`; with -1 for `after` every call does.
void testcuda_fault(const char *name, int after, int code) {
  pthread_mutex_lock(&lock);
  for (int i = 0; i < MAX_FAULTS; i++)
    if (!faults[i].name[0]) {
      snprintf(faults[i].name, sizeof faults[i].name, "%s", name);
      faults[i].after = after, faults[i].code = code;
      break;
    }
  pthread_mutex_unlock(&lock);
}
void testcuda_lose(int code) { pthread_mutex_lock(&lock); lost = code; pthread_cond_broadcast(&changed); pthread_mutex_unlock(&lock); }
void testcuda_memory(int64_t bytes) { memory_limit = bytes; }
void testcuda_slow_copies(int64_t ns) { copy_delay_ns = ns; }
void testcuda_integrated(int yes) { integrated = yes; }
// Work that is put on streams is over at once and does nothing: what is left is what asking for it costs the host.
void testcuda_swallow(int yes) { swallowing = yes; }
// The next `many` pieces of work of these kinds (1 << kind) all have to begin before any of them goes on; one that waits
// longer than `ms` for the others goes on alone, and then there was no meeting.
static int meet_kinds, meet_many, met;
static int64_t meet_ns;
void testcuda_meet(int kinds, int many, int ms) {
  pthread_mutex_lock(&lock);
  meet_kinds = kinds, meet_many = many, meet_ns = ms * 1000000LL, met = 0;
  pthread_mutex_unlock(&lock);
}
void testcuda_heal(void) {
  pthread_mutex_lock(&lock);
  memset(faults, 0, sizeof faults);
  meet_kinds = 0, lost = 0, copy_delay_ns = 0, memory_limit = (int64_t)8 << 30, integrated = 0, swallowing = 0;
  pthread_mutex_unlock(&lock);
}

static int struck(const char *name, int code) {
  pthread_mutex_lock(&lock);
  n_calls++;
  for (int i = 0; i < MAX_FAULTS && !code; i++)
    if (faults[i].name[0] && !strcmp(faults[i].name, name)) {
      if (faults[i].after < 0) code = faults[i].code;
      else if (faults[i].after-- == 0) code = faults[i].code, faults[i].name[0] = 0;
    }
  pthread_mutex_unlock(&lock);
  return code;
}
#define API(name, ...) int name(__VA_ARGS__)
#define ENTER do { int struck_ = struck(__func__, lost); if (struck_) return struck_; } while (0)
#define NEED_CONTEXT do { if (!depth) return INVALID_CONTEXT; } while (0)

// --- the device and its contexts -----------------------------------------------------------------------------------

static int primary;  // the one context there is
static __thread Ptr stack[MAX_DEPTH];
static __thread int depth;
static __thread int captures;  // that this thread has begun

static int devices(void) { const char *set = getenv("TESTCUDA_DEVICES"); return set ? atoi(set) : 1; }
API(cuInit, unsigned flags) { ENTER; return flags ? INVALID_VALUE : devices() > 0 ? OK : NO_DEVICE; }
API(cuDriverGetVersion, int *version) { *version = 13000; return OK; }
API(cuDeviceGetCount, int *count) { ENTER; *count = devices(); return OK; }
API(cuDeviceGet, int *device, int number) { ENTER; if (number >= devices()) return INVALID_DEVICE; *device = number; return OK; }
API(cuDeviceGetName, char *name, int size, int device) { (void)device; snprintf(name, size, "Test GPU (host memory)"); return OK; }
API(cuDeviceGetUuid_v2, void *uuid, int device) { memset(uuid, 7 + device, 16); return OK; }
API(cuDeviceTotalMem_v2, size_t *bytes, int device) { (void)device; *bytes = memory_limit; return OK; }
API(cuDeviceGetPCIBusId, char *id, int size, int device) { snprintf(id, size, "0000:0%d:00.0", device); return OK; }
API(cuDeviceComputeCapability, int *major, int *minor, int device) { (void)device; *major = capability / 10; *minor = capability % 10; return OK; }
API(cuDeviceGetAttribute, int *value, int attribute, int device) {
  (void)device;
  switch (attribute) {
    case 75: *value = capability / 10; break;
    case 76: *value = capability % 10; break;
    case 18: *value = integrated; break;
    case 19: *value = 1; break;   // can map host memory
    case 10: *value = 32; break;  // threads in a warp
    case 16: *value = 16; break;  // multiprocessors
    case 1: case 39: *value = 1024; break;
    case 40: *value = 2; break;   // asynchronous copy engines
    case 41: *value = 1; break;   // unified addressing
    default: *value = 0;
  }
  return OK;
}
API(cuDevicePrimaryCtxRetain, Ptr *context, int device) { ENTER; (void)device; *context = (Ptr)&primary; return OK; }
API(cuDevicePrimaryCtxRelease_v2, int device) { (void)device; return OK; }
API(cuDevicePrimaryCtxGetState, int device, unsigned *flags, int *active) { (void)device; *flags = 0; *active = 1; return OK; }
API(cuDevicePrimaryCtxSetFlags_v2, int device, unsigned flags) { (void)device, (void)flags; return OK; }
API(cuCtxPushCurrent_v2, Ptr context) {
  ENTER;
  if (depth == MAX_DEPTH) return OUT_OF_MEMORY;
  stack[depth++] = context;
  pthread_mutex_lock(&lock); n_pushes++; pthread_mutex_unlock(&lock);
  return OK;
}
API(cuCtxPopCurrent_v2, Ptr *context) {
  int code = struck(__func__, OK);  // the real one may tell here what went wrong on the device before, or not
  if (code) return code;
  NEED_CONTEXT;
  depth--;
  if (context) *context = stack[depth];
  pthread_mutex_lock(&lock); n_pops++; pthread_mutex_unlock(&lock);
  return OK;
}
API(cuCtxGetCurrent, Ptr *context) { *context = depth ? stack[depth - 1] : 0; return OK; }
API(cuCtxSetCurrent, Ptr context) { if (!context) depth = 0; else { if (!depth) depth = 1; stack[depth - 1] = context; } return OK; }
API(cuCtxDetach, Ptr context) { (void)context; return OK; }
API(cuCtxGetDevice, int *device) { NEED_CONTEXT; *device = 0; return OK; }
API(cuCtxGetFlags, unsigned *flags) { *flags = 0; return OK; }
API(cuCtxGetApiVersion, Ptr context, unsigned *version) { (void)context; *version = 13000; return OK; }
API(cuCtxGetStreamPriorityRange, int *least, int *greatest) { *least = 0; *greatest = -5; return OK; }
static const struct { int code; const char *name, *text; } NAMES[] = {
  {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"}, {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
  {46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"},
  {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
  {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
  {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
  {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"}, {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
  {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
  {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"}, {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
  {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
  {CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"}};
API(cuGetErrorName, int code, const char **name) {
  for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++) if (NAMES[i].code == code) { *name = NAMES[i].name; return OK; }
  *name = "CUDA_ERROR_UNKNOWN";
  return OK;
}
API(cuGetErrorString, int code, const char **text) {
  for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++) if (NAMES[i].code == code) { *text = NAMES[i].text; return OK; }
  *text = "unknown error";
  return OK;
}

// --- memory --------------------------------------------------------------------------------------------------------

typedef struct Block { char *start; size_t size; int pinned; struct Block *next; } Block;
static Block *blocks;

static Block *block_of(Ptr address, size_t size) {  // the lock is held
  for (Block *block = blocks; block; block = block->next)
    if (address >= (Ptr)block->start && address + size <= (Ptr)block->start + block->size) return block;
  return NULL;
}
static int give(void **out, size_t size, int pinned) {
  if (captures) return CAPTURE_UNSUPPORTED;
  Block *block = malloc(sizeof *block);
  pthread_mutex_lock(&lock);
  int full = !pinned && n_device_bytes + (int64_t)size > memory_limit;
  if (full || posix_memalign((void **)&block->start, 512, size ? size : 1)) {
    pthread_mutex_unlock(&lock);
    free(block);
    return OUT_OF_MEMORY;
  }
  memset(block->start, FRESH, size);
  block->size = size, block->pinned = pinned, block->next = blocks, blocks = block;
  *(pinned ? &n_pinned_bytes : &n_device_bytes) += size;
  pthread_mutex_unlock(&lock);
  *out = block->start;
  return OK;
}
static int take_back(Ptr address) {
  pthread_mutex_lock(&lock);
  for (Block **at = &blocks; *at; at = &(*at)->next)
    if ((Ptr)(*at)->start == address) {
      Block *block = *at;
      *at = block->next;
      *(block->pinned ? &n_pinned_bytes : &n_device_bytes) -= block->size;
      memset(block->start, FREED, block->size);
      free(block->start), free(block);
      pthread_mutex_unlock(&lock);
      return OK;
    }
  pthread_mutex_unlock(&lock);
  return INVALID_VALUE;
}
API(cuMemAlloc_v2, Ptr *address, size_t size) { ENTER; NEED_CONTEXT; return give((void **)address, size, 0); }
API(cuMemFree_v2, Ptr address) { NEED_CONTEXT; return take_back(address); }
API(cuMemHostAlloc, void **address, size_t size, unsigned flags) { ENTER; NEED_CONTEXT; (void)flags; return give(address, size, 1); }
API(cuMemAllocHost_v2, void **address, size_t size) { ENTER; NEED_CONTEXT; return give(address, size, 1); }
API(cuMemFreeHost, void *address) { NEED_CONTEXT; return take_back((Ptr)address); }
API(cuMemHostGetDevicePointer_v2, Ptr *device, void *host, unsigned flags) { ENTER; (void)flags; *device = (Ptr)host; return OK; }
API(cuMemGetInfo_v2, size_t *free_bytes, size_t *total) {
  NEED_CONTEXT;
  *total = memory_limit, *free_bytes = memory_limit - n_device_bytes;
  return OK;
}

// --- streams, events, graphs ---------------------------------------------------------------------------------------

typedef struct Event { unsigned flags; int64_t recorded, completed, at_ns; void *capture; } Event;
typedef struct Op {
  enum { COPY, FILL, RECORD, AWAIT, HOST, KERNEL } kind;
  Ptr to, from; size_t size; int value; Event *event; int64_t turn; void (*function)(void *); void *data; struct Op *next;
} Op;
typedef struct { Op *first, **last; } Ops;
typedef struct Stream { Ops queue; int busy, dying; pthread_t thread; Ops *capture; } Stream;

static int64_t now_ns(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000LL + t.tv_nsec; }
static void pause_ns(int64_t ns) { struct timespec t = {ns / 1000000000, ns % 1000000000}; nanosleep(&t, NULL); }
static void append(Ops *ops, Op op) {
  Op *kept = malloc(sizeof *kept);
  *kept = op, kept->next = NULL;
  *ops->last = kept, ops->last = &kept->next;
}
static void meet(void) {  // the lock is held
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  int64_t ns = until.tv_nsec + meet_ns;
  until.tv_sec += ns / 1000000000, until.tv_nsec = ns % 1000000000;
  if (++met == meet_many) n_meetings++, meet_kinds = 0, pthread_cond_broadcast(&changed);
  while (meet_kinds && !pthread_cond_timedwait(&changed, &lock, &until)) {}
  meet_kinds = 0;
}
static void perform(Op *op) {  // the lock is held, and let go where it takes time
  if (meet_kinds & 1 << op->kind) meet();
  switch (op->kind) {
    case COPY: case FILL:
      if (copy_delay_ns) {
        pthread_mutex_unlock(&lock);
        pause_ns(copy_delay_ns);
        pthread_mutex_lock(&lock);
      }
      // Only now, so that what was freed while it was still being copied shows.
      if (!block_of(op->to, op->size) || (op->kind == COPY && !block_of(op->from, op->size))) { n_bad_addresses++; lost = 700; return; }
      if (op->kind == COPY) memmove((void *)op->to, (void *)op->from, op->size);
      else memset((void *)op->to, op->value, op->size);
      return;
    case RECORD: op->event->completed = op->turn, op->event->at_ns = now_ns(); return;
    case AWAIT: while (op->event->completed < op->turn && !lost) pthread_cond_wait(&changed, &lock); return;
    case HOST: pthread_mutex_unlock(&lock); op->function(op->data); pthread_mutex_lock(&lock); return;
    case KERNEL: return;
  }
}
static void *work_off(void *given) {
  Stream *stream = given;
  pthread_mutex_lock(&lock);
  for (;;) {
    while (!stream->queue.first && !stream->dying) pthread_cond_wait(&changed, &lock);
    Op *op = stream->queue.first;
    if (!op) break;
    stream->busy = 1;
    if (!(stream->queue.first = op->next)) stream->queue.last = &stream->queue.first;
    if (!lost) perform(op);
    free(op);
    stream->busy = 0;
    pthread_cond_broadcast(&changed);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}
static int put(Stream *stream, Op op) {
  if (!stream) return INVALID_HANDLE;  // the default stream is nobody's: it would wait for all others
  pthread_mutex_lock(&lock);
  if (swallowing && !stream->capture) {
    if (op.kind == RECORD) perform(&op);
    pthread_mutex_unlock(&lock);
    return OK;
  }
  append(stream->capture ? stream->capture : &stream->queue, op);
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return OK;
}
API(cuStreamCreate, Stream **out, unsigned flags) {
  ENTER; NEED_CONTEXT; (void)flags;
  Stream *stream = calloc(1, sizeof *stream);
  stream->queue.last = &stream->queue.first;
  pthread_create(&stream->thread, NULL, work_off, stream);
  pthread_mutex_lock(&lock); n_streams++; pthread_mutex_unlock(&lock);
  *out = stream;
  return OK;
}
API(cuStreamCreateWithPriority, Stream **out, unsigned flags, int priority) { (void)priority; return cuStreamCreate(out, flags); }
API(cuStreamDestroy_v2, Stream *stream) {
  pthread_mutex_lock(&lock); stream->dying = 1; n_streams--; pthread_cond_broadcast(&changed); pthread_mutex_unlock(&lock);
  pthread_join(stream->thread, NULL);
  free(stream);
  return OK;
}
API(cuStreamSynchronize, Stream *stream) {
  ENTER;
  if (stream->capture) return CAPTURE_UNSUPPORTED;
  pthread_mutex_lock(&lock);
  while ((stream->queue.first || stream->busy) && !lost) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  return lost;
}
API(cuStreamQuery, Stream *stream) {
  pthread_mutex_lock(&lock); int busy = stream->queue.first || stream->busy; pthread_mutex_unlock(&lock);
  return lost ? lost : busy ? NOT_READY : OK;
}
API(cuStreamIsCapturing, Stream *stream, int *status) { *status = stream && stream->capture; return OK; }
API(cuLaunchHostFunc, Stream *stream, void (*function)(void *), void *data) {
  ENTER;
  pthread_mutex_lock(&lock); n_host_functions++; pthread_mutex_unlock(&lock);
  return put(stream, (Op){.kind = HOST, .function = function, .data = data});
}
API(cuLaunchKernel) { ENTER; pthread_mutex_lock(&lock); n_kernels++; pthread_mutex_unlock(&lock); return OK; }

API(cuEventCreate, Event **out, unsigned flags) {
  ENTER; NEED_CONTEXT;
  *out = calloc(1, sizeof **out);
  (*out)->flags = flags;
  pthread_mutex_lock(&lock); n_events++; pthread_mutex_unlock(&lock);
  return OK;
}
API(cuEventDestroy_v2, Event *event) { pthread_mutex_lock(&lock); n_events--; pthread_mutex_unlock(&lock); free(event); return OK; }
API(cuEventRecord, Event *event, Stream *stream) {
  ENTER;
  pthread_mutex_lock(&lock);
  event->capture = stream->capture;
  int64_t turn = stream->capture ? 0 : ++event->recorded;
  pthread_mutex_unlock(&lock);
  return stream->capture ? OK : put(stream, (Op){.kind = RECORD, .event = event, .turn = turn});
}
API(cuStreamWaitEvent, Stream *stream, Event *event, unsigned flags) {
  ENTER; (void)flags;
  if (stream->capture) return event->capture == (void *)stream->capture ? OK : CAPTURE_ISOLATION;
  return put(stream, (Op){.kind = AWAIT, .event = event, .turn = event->recorded});
}
API(cuEventQuery, Event *event) {
  pthread_mutex_lock(&lock); int ready = event->completed >= event->recorded; pthread_mutex_unlock(&lock);
  return lost ? lost : ready ? OK : NOT_READY;
}
API(cuEventSynchronize, Event *event) {
  ENTER;
  pthread_mutex_lock(&lock);
  int64_t turn = event->recorded;
  while (event->completed < turn && !lost) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  return lost;
}
API(cuEventElapsedTime_v2, float *ms, Event *begin, Event *end) {
  ENTER;
  if (begin->flags & DISABLE_TIMING || end->flags & DISABLE_TIMING || !begin->recorded || !end->recorded) return INVALID_HANDLE;
  if (begin->completed < begin->recorded || end->completed < end->recorded) return NOT_READY;
  *ms = (end->at_ns - begin->at_ns) / 1e6f;
  return OK;
}
API(cuEventElapsedTime, float *ms, Event *begin, Event *end) { return cuEventElapsedTime_v2(ms, begin, end); }
API(cuCtxSynchronize, void) { return lost; }

static int copy_now(Ptr to, Ptr from, size_t size) {
  if (captures) return CAPTURE_UNSUPPORTED;
  pthread_mutex_lock(&lock); n_sync_copies++; pthread_mutex_unlock(&lock);
  memmove((void *)to, (void *)from, size);
  return OK;
}
API(cuMemcpyHtoD_v2, Ptr to, const void *from, size_t size) { ENTER; NEED_CONTEXT; return copy_now(to, (Ptr)from, size); }
API(cuMemcpyDtoH_v2, void *to, Ptr from, size_t size) { ENTER; NEED_CONTEXT; return copy_now((Ptr)to, from, size); }
API(cuMemcpyDtoD_v2, Ptr to, Ptr from, size_t size) { ENTER; NEED_CONTEXT; return copy_now(to, from, size); }
static int copy_later(Ptr to, Ptr from, size_t size, Stream *stream, Ptr host) {
  if (host) {
    pthread_mutex_lock(&lock);
    int pageable = !block_of(host, size);
    if (pageable) n_pageable_copies++;
    n_host_copies++;
    pthread_mutex_unlock(&lock);
    if (pageable) {  // as the real one: the call comes back once it is done
      int code = cuStreamSynchronize(stream);
      return code ? code : copy_now(to, from, size);
    }
  }
  pthread_mutex_lock(&lock); n_async_copies++; pthread_mutex_unlock(&lock);
  return put(stream, (Op){.kind = COPY, .to = to, .from = from, .size = size});
}
API(cuMemcpyHtoDAsync_v2, Ptr to, const void *from, size_t size, Stream *stream) { ENTER; NEED_CONTEXT; return copy_later(to, (Ptr)from, size, stream, (Ptr)from); }
API(cuMemcpyDtoHAsync_v2, void *to, Ptr from, size_t size, Stream *stream) { ENTER; NEED_CONTEXT; return copy_later((Ptr)to, from, size, stream, (Ptr)to); }
API(cuMemcpyDtoDAsync_v2, Ptr to, Ptr from, size_t size, Stream *stream) { ENTER; NEED_CONTEXT; return copy_later(to, from, size, stream, 0); }
API(cuMemsetD8Async, Ptr to, unsigned char value, size_t size, Stream *stream) {
  ENTER; NEED_CONTEXT;
  return put(stream, (Op){.kind = FILL, .to = to, .size = size, .value = value});
}
API(cuMemsetD8_v2, Ptr to, unsigned char value, size_t size) { ENTER; NEED_CONTEXT; memset((void *)to, value, size); return OK; }

static int new_graph(Ops **out) {
  *out = calloc(1, sizeof **out);
  (*out)->last = &(*out)->first;
  pthread_mutex_lock(&lock); n_graphs++; pthread_mutex_unlock(&lock);
  return OK;
}
API(cuStreamBeginCapture_v2, Stream *stream, int mode) {
  ENTER; (void)mode;
  if (stream->capture) return INVALID_VALUE;
  captures++;
  return new_graph(&stream->capture);
}
API(cuStreamEndCapture, Stream *stream, Ops **graph) {
  ENTER;
  *graph = stream->capture, stream->capture = NULL, captures--;
  return *graph ? OK : INVALID_VALUE;
}
API(cuGraphInstantiateWithFlags, Ops **executable, Ops *graph, unsigned long long flags) {
  ENTER; (void)flags;
  new_graph(executable);
  for (Op *op = graph->first; op; op = op->next) append(*executable, *op);
  return OK;
}
API(cuGraphLaunch, Ops *executable, Stream *stream) {
  ENTER; NEED_CONTEXT;
  pthread_mutex_lock(&lock);
  n_graph_launches++;
  for (Op *op = executable->first; op && !swallowing; op = op->next) append(&stream->queue, *op);
  if (!swallowing) pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return OK;
}
API(cuGraphDestroy, Ops *graph) {
  for (Op *op = graph->first, *next; op; op = next) next = op->next, free(op);
  free(graph);
  pthread_mutex_lock(&lock); n_graphs--; pthread_mutex_unlock(&lock);
  return OK;
}
API(cuGraphGetNodes, Ops *graph, Op **nodes, size_t *count) {
  ENTER;
  size_t found = 0;
  for (Op *op = graph->first; op; op = op->next, found++) if (nodes && found < *count) nodes[found] = op;
  *count = found;
  return OK;
}
API(cuGraphNodeGetType, Op *node, int *type) {
  ENTER;
  static const int TYPES[] = {[COPY] = 1, [FILL] = 2, [RECORD] = 7, [AWAIT] = 6, [HOST] = 3, [KERNEL] = 0};
  *type = TYPES[node->kind];
  return OK;
}
API(cuGraphExecDestroy, Ops *graph) { return cuGraphDestroy(graph); }

// --- how others find all this --------------------------------------------------------------------------------------

const char *newest_name(const char *name);  // made from cuda.h: cuMemAlloc -> cuMemAlloc_v2
API(cuGetProcAddress_v2, const char *name, void **function, int version, uint64_t flags, int *status) {
  (void)version, (void)flags;
  Dl_info self;
  dladdr((void *)cuInit, &self);
  void *library = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  *function = dlsym(library, newest_name(name));
  if (status) *status = *function ? 0 : 1;
  return *function ? OK : NOT_FOUND;
}
API(cuGetProcAddress, const char *name, void **function, int version, uint64_t flags) {
  return cuGetProcAddress_v2(name, function, version, flags, NULL);
}
