// A stand-in for NVIDIA's driver library: devices whose memory is the host's, kernels that do nothing or are emulated, and any call
// made to fail. What the tool does about faults can so be tested where there is no GPU, that nothing is left allocated, and the kernels themselves.
//
// FAKE_CUDA is a list of key=value, separated by commas:
//   devices=N capability=80 driver=12020 memory=MIB   what there is; memory is each device's
//   fail=FUNCTION:CODE:AFTER                          that function returns CODE from its AFTER-th call on (0: the first)
//   report=FILE                                       at exit: what is still allocated
//   multiprocessors=N                                 of a device
//   kernels=FOLDER                                    libraries of emulated kernels, as eng/emulate-gpu.sh makes them; they run when they are queued
#include <dirent.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MAX_DEVICES 16
#define LOG "ptxas fatal: a fault on purpose"

typedef struct { size_t bytes; int device; } Header; // in front of every piece of device memory
enum { HeaderBytes = 256, MAX_LIBRARIES = 64 };

static int devices = 1, capability = 90, driver = 12020, multiprocessors = 132, fail_code, fail_after, initialized;
static size_t memory = 1024ull << 20, used[MAX_DEVICES];
static char fail_name[64], report[512], kernels[512];
static void *libraries[MAX_LIBRARIES];
static long contexts, streams, events, graphs, executables, modules, pinned, buffers;
static int retained[MAX_DEVICES];
static _Thread_local int current;

static long at(long *count, int change) { return __atomic_add_fetch(count, change, __ATOMIC_SEQ_CST); }

static void write_report(void)
{
    FILE *file = fopen(report, "w");
    if (file)
    {
        fprintf(file, "contexts=%ld streams=%ld events=%ld graphs=%ld executables=%ld modules=%ld pinned=%ld buffers=%ld\n", contexts, streams, events, graphs, executables, modules, pinned, buffers);
        fclose(file);
    }
}

static void initialize(void)
{
    if (initialized++) return;
    const char *settings = getenv("FAKE_CUDA");
    char *copy = strdup(settings ? settings : "");
    for (char *save, *item = strtok_r(copy, ",", &save); item; item = strtok_r(NULL, ",", &save))
    {
        long mib;
        if (sscanf(item, "devices=%d", &devices) == 1 || sscanf(item, "capability=%d", &capability) == 1 || sscanf(item, "driver=%d", &driver) == 1) continue;
        if (sscanf(item, "memory=%ld", &mib) == 1) memory = (size_t)mib << 20;
        sscanf(item, "multiprocessors=%d", &multiprocessors);
        sscanf(item, "kernels=%511s", kernels);
        if (sscanf(item, "report=%511s", report) == 1) atexit(write_report);
        sscanf(item, "fail=%63[^:]:%d:%d", fail_name, &fail_code, &fail_after);
    }
    free(copy);
    DIR *folder = kernels[0] ? opendir(kernels) : NULL;
    int count = 0;
    for (struct dirent *entry; folder && count < MAX_LIBRARIES && (entry = readdir(folder));)
    {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", kernels, entry->d_name);
        if (strncmp(entry->d_name, "kernels_", 8) == 0 && !(libraries[count++] = dlopen(path, RTLD_NOW | RTLD_LOCAL)))
        {
            fprintf(stderr, "%s\n", dlerror());
            abort();
        }
    }
    if (kernels[0] && !count)
    {
        fprintf(stderr, "no emulated kernels in %s\n", kernels);
        abort();
    }
}

static int fails(const char *name)
{
    static long calls;
    return strcmp(name, fail_name) == 0 && at(&calls, 1) > fail_after ? fail_code : 0;
}

#define BEGIN { int failed = fails(__func__); if (failed) return failed; }

EXPORT int cuInit(unsigned flags) { (void)flags; initialize(); BEGIN return devices ? 0 : 100; }
EXPORT int cuDriverGetVersion(int *version) { BEGIN *version = driver; return 0; }
EXPORT int cuGetErrorString(int error, const char **text) { *text = error == 2 ? "out of memory" : error == 719 ? "unspecified launch failure" : "a fault on purpose"; return 0; }
EXPORT int cuDeviceGetCount(int *count) { BEGIN *count = devices; return 0; }
EXPORT int cuDeviceGet(int *device, int ordinal) { BEGIN *device = ordinal; return ordinal < devices ? 0 : 101; }
EXPORT int cuDeviceGetName(char *name, int length, int device) { BEGIN snprintf(name, length, "Fake GPU %d", device); return 0; }
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    (void)device;
    BEGIN
    switch (attribute)
    {
        case 16: *value = multiprocessors; return 0;
        case 75: *value = capability / 10; return 0;
        case 76: *value = capability % 10; return 0;
        case 97: *value = 227 << 10; return 0;          // shared memory of a block of threads
        default: *value = 0; return 0;
    }
}
EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; BEGIN *bytes = memory; return 0; }
EXPORT int cuDevicePrimaryCtxRetain(void **context, int device)
{
    BEGIN
    at(&contexts, 1);
    retained[device]++;
    *context = (void *)(intptr_t)(device + 1);
    return 0;
}
EXPORT int cuDevicePrimaryCtxRelease_v2(int device) { BEGIN at(&contexts, -1); retained[device]--; return 0; }
EXPORT int cuCtxSetCurrent(void *context) { BEGIN current = (int)(intptr_t)context - 1; return 0; }
EXPORT int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) { BEGIN *free_bytes = memory - used[current]; *total = memory; return 0; }
EXPORT int cuMemAlloc_v2(uint64_t *address, size_t bytes)
{
    BEGIN
    if (__atomic_add_fetch(&used[current], bytes, __ATOMIC_SEQ_CST) > memory)
    {
        __atomic_sub_fetch(&used[current], bytes, __ATOMIC_SEQ_CST);
        return 2;
    }
    char *base = aligned_alloc(256, (HeaderBytes + bytes + 255) / 256 * 256);
    *(Header *)base = (Header){bytes, current};
    *address = (uint64_t)(uintptr_t)(base + HeaderBytes);
    at(&buffers, 1);
    return 0;
}
EXPORT int cuMemFree_v2(uint64_t address)
{
    BEGIN
    char *base = (char *)(uintptr_t)address - HeaderBytes;
    __atomic_sub_fetch(&used[((Header *)base)->device], ((Header *)base)->bytes, __ATOMIC_SEQ_CST);
    at(&buffers, -1);
    free(base);
    return 0;
}
EXPORT int cuMemHostAlloc(void **pointer, size_t bytes, unsigned flags) { (void)flags; BEGIN *pointer = calloc(1, bytes); at(&pinned, 1); return 0; }
EXPORT int cuMemFreeHost(void *pointer) { BEGIN free(pointer); at(&pinned, -1); return 0; }
EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream) { (void)stream; BEGIN memcpy((void *)(uintptr_t)to, from, bytes); return 0; }
EXPORT int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream) { (void)stream; BEGIN memcpy(to, (void *)(uintptr_t)from, bytes); return 0; }
EXPORT int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *stream) { (void)stream; BEGIN memcpy((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes); return 0; }
EXPORT int cuMemcpyPeerAsync(uint64_t to, void *to_context, uint64_t from, void *from_context, size_t bytes, void *stream)
{
    (void)to_context, (void)from_context, (void)stream;
    BEGIN
    memcpy((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes);
    return 0;
}
EXPORT int cuMemsetD8Async(uint64_t address, unsigned char value, size_t bytes, void *stream) { (void)stream; BEGIN memset((void *)(uintptr_t)address, value, bytes); return 0; }
EXPORT int cuStreamCreate(void **stream, unsigned flags) { (void)flags; BEGIN *stream = (void *)at(&streams, 1); return 0; }
EXPORT int cuStreamDestroy_v2(void *stream) { (void)stream; BEGIN at(&streams, -1); return 0; }
EXPORT int cuStreamSynchronize(void *stream) { (void)stream; BEGIN return 0; }
EXPORT int cuStreamWaitEvent(void *stream, void *event, unsigned flags) { (void)stream, (void)event, (void)flags; BEGIN return 0; }

// A kernel: found in a module, started with a copy of its parameter. A graph: what was started while a stream was captured.
typedef void (*Run)(const char *name, void (*function)(const void *), const void *parameter, int x, int y, int z, int threads, int cluster, size_t shared);
typedef struct { char name[128]; void (*function)(const void *); Run run; size_t bytes; } Kernel;
typedef struct { uint32_t grid[3], block[3], shared; void *stream, *attributes; uint32_t attribute_count; } Config;
typedef struct { int id, padding, x, y, z, rest[13]; } Attribute;
typedef struct Start { struct Start *next; Kernel *kernel; Config config; int cluster; unsigned char parameter[]; } Start;
typedef struct { Start *first, **end; } Graph;
static _Thread_local Graph *captured;

static void start(const Start *s)
{
    s->kernel->run(s->kernel->name, s->kernel->function, s->parameter, s->config.grid[0], s->config.grid[1], s->config.grid[2], s->config.block[0], s->cluster, s->config.shared);
}

static Graph *new_graph(void)
{
    Graph *graph = calloc(1, sizeof *graph);
    graph->end = &graph->first;
    return graph;
}

static void add(Graph *graph, Kernel *kernel, const Config *config, int cluster, const void *parameter)
{
    Start *s = calloc(1, sizeof *s + kernel->bytes);
    s->kernel = kernel;
    s->config = *config;
    s->cluster = cluster;
    memcpy(s->parameter, parameter, kernel->bytes);
    *graph->end = s;
    graph->end = &s->next;
}

static void free_graph(Graph *graph)
{
    for (Start *s = graph->first, *next; s; s = next)
    {
        next = s->next;
        free(s);
    }
    free(graph);
}

EXPORT int cuStreamBeginCapture_v2(void *stream, int mode) { (void)stream, (void)mode; BEGIN captured = new_graph(); return 0; }
EXPORT int cuStreamEndCapture(void *stream, void **graph)
{
    (void)stream;
    int failed = fails(__func__);
    Graph *made = captured;
    captured = NULL;
    if (failed)
    {
        free_graph(made);
        return failed;
    }
    at(&graphs, 1);
    *graph = made;
    return 0;
}
EXPORT int cuGraphInstantiateWithFlags(void **executable, void *graph, uint64_t flags)
{
    (void)flags;
    BEGIN
    Graph *copy = new_graph();
    for (Start *s = ((Graph *)graph)->first; s; s = s->next) add(copy, s->kernel, &s->config, s->cluster, s->parameter);
    at(&executables, 1);
    *executable = copy;
    return 0;
}
EXPORT int cuGraphLaunch(void *executable, void *stream)
{
    (void)stream;
    BEGIN
    for (Start *s = ((Graph *)executable)->first; s; s = s->next) start(s);
    return 0;
}
EXPORT int cuGraphExecDestroy(void *executable) { BEGIN free_graph(executable); at(&executables, -1); return 0; }
EXPORT int cuGraphDestroy(void *graph) { BEGIN if (graph) { free_graph(graph); at(&graphs, -1); } return 0; }
EXPORT int cuEventCreate(void **event, unsigned flags) { (void)flags; BEGIN *event = (void *)at(&events, 1); return 0; }
EXPORT int cuEventDestroy_v2(void *event) { (void)event; BEGIN at(&events, -1); return 0; }
EXPORT int cuEventRecord(void *event, void *stream) { (void)event, (void)stream; BEGIN return 0; }
EXPORT int cuEventSynchronize(void *event) { (void)event; BEGIN return 0; }
EXPORT int cuEventElapsedTime(float *milliseconds, void *start, void *end) { (void)start, (void)end; BEGIN *milliseconds = 1; return 0; }
EXPORT int cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options, void **values)
{
    int failed = fails(__func__);
    for (unsigned i = 0; failed && i < count; i++)
    {
        if (options[i] == 5) strcpy(values[i], LOG); // the error log's buffer
    }
    if (failed) return failed;
    at(&modules, 1);
    *module = kernels[0] ? strdup(image) : strdup("");
    return 0;
}
EXPORT int cuModuleUnload(void *module) { BEGIN free(module); at(&modules, -1); return 0; }
EXPORT int cuModuleGetFunction(void **function, void *module, const char *name)
{
    BEGIN
    *function = (void *)1;
    if (!kernels[0]) return 0;

    // The PTX knows how long the parameter is.
    char pattern[192];
    snprintf(pattern, sizeof pattern, " %s_param_0[", name);
    const char *parameter = strstr(module, pattern);
    if (!parameter) return 500;
    Kernel *kernel = calloc(1, sizeof *kernel);
    kernel->bytes = (size_t)atol(parameter + strlen(pattern));
    snprintf(kernel->name, sizeof kernel->name, "%s", name);
    for (int i = 0; i < MAX_LIBRARIES && libraries[i]; i++)
    {
        void *found = dlsym(libraries[i], name), *run = dlsym(libraries[i], "emulated_run");
        if (found && run)
        {
            memcpy(&kernel->function, &found, sizeof found);
            memcpy(&kernel->run, &run, sizeof run);
        }
    }
    *function = kernel;
    return kernel->function ? 0 : 500;
}
EXPORT int cuFuncSetAttribute(void *function, int attribute, int value) { (void)function, (void)attribute, (void)value; BEGIN return 0; }
// As EmulatedMap of tests/emulation/emulator.h.
EXPORT int cuTensorMapEncodeTiled(void *map, int type, unsigned rank, uint64_t address, const uint64_t *lengths, const uint64_t *strides, const unsigned *box, const unsigned *steps, int interleave, int swizzle, int promotion, int outside)
{
    (void)type, (void)rank, (void)steps, (void)interleave, (void)swizzle, (void)promotion, (void)outside;
    BEGIN
    struct { uint64_t address, cols, rows, row_bytes; uint32_t box_cols, box_rows; } description = {address, lengths[0], lengths[1], strides[0], box[0], box[1]};
    memcpy(map, &description, sizeof description);
    return 0;
}
EXPORT int cuLaunchKernelEx(const void *config, void *function, void **parameters, void **extra)
{
    (void)extra;
    BEGIN
    if (!kernels[0]) return 0;
    Graph *graph = captured ? captured : new_graph();
    const Config *c = config;
    int cluster = 1;
    for (uint32_t i = 0; i < c->attribute_count; i++)
    {
        const Attribute *attribute = (const Attribute *)c->attributes + i;
        if (attribute->id == 4) cluster = attribute->x;
    }
    add(graph, function, c, cluster, parameters[0]);
    if (!captured)
    {
        start(graph->first);
        free_graph(graph);
    }
    return 0;
}
