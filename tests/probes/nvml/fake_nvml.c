/* A libnvidia-ml.so.1 without a card.
 *
 * Its figures, faults and gates lie in a file, named by FAKE_NVML, that a test maps into
 * memory and moves (see fakenvml.py, which mirrors `struct state`). It is as strict as
 * the real one may be: calls need an initialised library, handles die with the session
 * or the process that they came from, a lock is held over each call, and a driver that
 * is replaced answers nobody who does not begin anew.
 *
 * It is compiled against NVIDIA's own header with -Wmissing-prototypes: a function that
 * the header does not declare just so is an error.
 */
#define NVML_NO_UNVERSIONED_FUNC_DEFS
#include <nvml.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CARDS 8
#define CAP 5000 /* milliseconds behind a gate, at most */

/* What can be made to fail, and is counted. */
enum call { INIT, SHUTDOWN, COUNT, BY_INDEX, BY_UUID, UUID, NAME, PCI, MIG, MEMORY, MEMORY_V2,
            DRIVER, CALLS };

struct card {
    uint64_t total, free, used, reserved;
    uint32_t domain, bus, slot;
    uint32_t mig;      /* whether it is divided */
    int32_t parent;    /* the card of which it is a MIG instance, or -1 */
    int32_t error;     /* what every call about it returns */
    char uuid[96];
    char name[96];
};

struct state {
    uint32_t cards;    /* how many of `card` exist, MIG instances included */
    uint32_t boot;     /* raised when the driver is replaced */
    uint32_t gate;     /* while it is not 0, memory is not told ... */
    uint32_t waiting;  /* ... to so many threads */
    uint32_t together; /* the most threads that were in a call at a time */
    uint32_t inits;    /* how often the library began anew, in all processes */
    int32_t error[CALLS];
    uint32_t calls[CALLS];
    struct card card[CARDS];
};

_Static_assert(sizeof(struct state) == STATE_SIZE, "fakenvml.py mirrors struct state");

static struct state *state;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t slot = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;  /* who initialised it and has not shut it down */
static uintptr_t epoch; /* of handles */
static uint32_t boot;
static pid_t process;
static uint32_t inside;

static nvmlReturn_t mapped(void) {
    const char *path = getenv("FAKE_NVML");
    int file;

    if (state)
        return NVML_SUCCESS;
    file = path ? open(path, O_RDWR) : -1;
    if (file < 0)
        return NVML_ERROR_DRIVER_NOT_LOADED;
    state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (state == MAP_FAILED) {
        state = NULL;
        return NVML_ERROR_UNKNOWN;
    }
    return NVML_SUCCESS;
}

/* Enter a call: take the lock, as the real library does, and say what the test wants. */
static nvmlReturn_t enter(enum call call) {
    pthread_mutex_lock(&slot);
    if (state && ++inside > state->together)
        state->together = inside;
    pthread_mutex_unlock(&slot);
    pthread_mutex_lock(&lock);
    if (call != INIT && (!users || process != getpid()))
        return NVML_ERROR_UNINITIALIZED;
    if (call != INIT && call != SHUTDOWN && boot != state->boot)
        return NVML_ERROR_UNKNOWN;
    __atomic_add_fetch(&state->calls[call], 1, __ATOMIC_SEQ_CST);
    return (nvmlReturn_t)state->error[call];
}

static nvmlReturn_t leave(nvmlReturn_t result) {
    pthread_mutex_unlock(&lock);
    pthread_mutex_lock(&slot);
    if (inside)
        inside--;
    pthread_mutex_unlock(&slot);
    return result;
}

static nvmlReturn_t find(nvmlDevice_t device, struct card **card) {
    uintptr_t handle = (uintptr_t)device, number = (handle & 0xff) - 1;

    if (handle >> 8 != epoch || number >= state->cards)
        return NVML_ERROR_INVALID_ARGUMENT;
    *card = &state->card[number];
    return (nvmlReturn_t)(*card)->error;
}

static nvmlDevice_t handle_of(uint32_t number) {
    return (nvmlDevice_t)(epoch << 8 | (number + 1));
}

static nvmlReturn_t copy(char *to, unsigned int length, const char *from) {
    if (strlen(from) >= length)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(to, from);
    return NVML_SUCCESS;
}

/* Wait while the test keeps the gate shut; the caller of a real card waits for the card. */
static nvmlReturn_t pass_gate(void) {
    struct timespec millisecond = {0, 1000000};
    int left = CAP;

    if (!__atomic_load_n(&state->gate, __ATOMIC_SEQ_CST))
        return NVML_SUCCESS;
    __atomic_add_fetch(&state->waiting, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&state->gate, __ATOMIC_SEQ_CST) && left--)
        nanosleep(&millisecond, NULL);
    __atomic_sub_fetch(&state->waiting, 1, __ATOMIC_SEQ_CST);
    return left > 0 ? NVML_SUCCESS : NVML_ERROR_TIMEOUT;
}

/* -- the session ------------------------------------------------------------------- */

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    nvmlReturn_t result;

    (void)flags;
    if ((result = mapped()))
        return result;
    if ((result = enter(INIT)))
        return leave(result);
    if (process != getpid()) { /* the first call, or a child's first */
        process = getpid();
        users = 0;
    }
    if (!users++) {
        epoch++;
        boot = state->boot;
        __atomic_add_fetch(&state->inits, 1, __ATOMIC_SEQ_CST);
    }
    return leave(NVML_SUCCESS);
}

nvmlReturn_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

nvmlReturn_t nvmlInit(void) { return nvmlInitWithFlags(0); }

nvmlReturn_t nvmlShutdown(void) {
    nvmlReturn_t result = enter(SHUTDOWN);

    if (!result)
        users--;
    return leave(result);
}

const char *nvmlErrorString(nvmlReturn_t result) {
    return result == NVML_ERROR_DEPRECATED ? "said by the fake" : "an error of the fake";
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    nvmlReturn_t result = enter(DRIVER);

    return leave(result ? result : copy(version, length, "999.99"));
}

/* -- the cards --------------------------------------------------------------------- */

static int is_whole(uint32_t number) { return state->card[number].parent < 0; }

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
    nvmlReturn_t result = enter(COUNT);
    uint32_t number;

    if (!result)
        for (*count = 0, number = 0; number < state->cards; number++)
            *count += is_whole(number) ? 1 : 0;
    return leave(result);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    nvmlReturn_t result = enter(BY_INDEX);
    uint32_t number;

    if (result)
        return leave(result);
    for (number = 0; number < state->cards; number++)
        if (is_whole(number) && !index--) {
            *device = handle_of(number);
            return leave((nvmlReturn_t)state->card[number].error);
        }
    return leave(NVML_ERROR_INVALID_ARGUMENT);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device) {
    nvmlReturn_t result = enter(BY_UUID);
    uint32_t number;

    if (result)
        return leave(result);
    for (number = 0; number < state->cards; number++)
        if (!strcmp(uuid, state->card[number].uuid)) {
            *device = handle_of(number);
            return leave((nvmlReturn_t)state->card[number].error);
        }
    return leave(NVML_ERROR_NOT_FOUND);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length) {
    nvmlReturn_t result = enter(UUID);
    struct card *card;

    if (!result && !(result = find(device, &card)))
        result = copy(uuid, length, card->uuid);
    return leave(result);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length) {
    nvmlReturn_t result = enter(NAME);
    struct card *card;

    if (!result && !(result = find(device, &card)))
        result = copy(name, length, card->name);
    return leave(result);
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci) {
    nvmlReturn_t result = enter(PCI);
    struct card *card;

    if (!result && !(result = find(device, &card))) {
        memset(pci, 0, sizeof *pci);
        pci->domain = card->domain;
        pci->bus = card->bus;
        pci->device = card->slot;
    }
    return leave(result);
}

/* -- MIG --------------------------------------------------------------------------- */

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *now, unsigned int *next) {
    nvmlReturn_t result = enter(MIG);
    struct card *card;

    if (!result && !(result = find(device, &card)))
        *now = *next = card->mig;
    return leave(result);
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count) {
    nvmlReturn_t result = enter(MIG);
    struct card *card;

    if (!result && !(result = find(device, &card)))
        *count = 7;
    return leave(result);
}

/* Every other place is empty, as they are once an instance was destroyed. */
nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index,
                                                 nvmlDevice_t *instance) {
    nvmlReturn_t result = enter(MIG);
    struct card *card;
    uint32_t number, place = 0;

    if (result || (result = find(device, &card)))
        return leave(result);
    for (number = 0; number < state->cards; number++)
        if (state->card[number].parent == (int32_t)(card - state->card)) {
            if (place == index) {
                *instance = handle_of(number);
                return leave(NVML_SUCCESS);
            }
            place += 2;
        }
    return leave(NVML_ERROR_NOT_FOUND);
}

/* -- the memory -------------------------------------------------------------------- */

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
    nvmlReturn_t result = enter(MEMORY);
    struct card *card;

    if (!result && !(result = find(device, &card)) && !(result = pass_gate())) {
        memory->total = card->total;
        memory->free = card->free;
        memory->used = card->used + card->reserved;
    }
    return leave(result);
}

#ifndef OLD_DRIVER
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory) {
    nvmlReturn_t result = enter(MEMORY_V2);
    struct card *card;

    if (!result && memory->version != nvmlMemory_v2)
        result = NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (!result && !(result = find(device, &card)) && !(result = pass_gate())) {
        memory->total = card->total;
        memory->reserved = card->reserved;
        memory->free = card->free;
        memory->used = card->used;
    }
    return leave(result);
}
#endif
