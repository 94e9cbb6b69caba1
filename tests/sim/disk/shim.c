/* Loaded before libc (LD_PRELOAD): writes down what a process does to the files below a folder, and fails some of it.

   DISK_FOLDER names the folder, DISK_LOG the file that gets the log. An entry is a struct entry, then `length` bytes:

     C create: inode, name      W write: inode, offset, bytes      T truncate: inode, offset = new size
     S sync of a file: inode    D sync of the folder               F sync of a file that failed: inode
     U unlink: name             R rename: inode, name NUL name     M stored through a mapping: inode, offset, bytes
     N note, by the process itself: bytes

   Stores through shared mappings are found when the next entry is written, a sector at a time. A write that is failed
   still writes its first half: what an error leaves behind is nobody's promise. Names are those within the folder, which
   is flat. The process calls disk_note and disk_fail itself. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR 512
#define MAPPINGS 64
#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

struct entry {
    uint64_t inode, offset, length, kind;
};

struct mapping {
    char *at, *shadow;
    size_t length;
    off_t offset;
    ino_t inode;
};

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_length;
static int log_fd = -1;
static struct mapping mappings[MAPPINGS];
static char failing_kinds[16];
static int failing_errno;
static long failing_skip, failing_count, failed; /* count < 0: until told otherwise */

__attribute__((constructor)) static void begin(void) {
    const char *place = getenv("DISK_FOLDER"), *log = getenv("DISK_LOG");
    if (place && realpath(place, folder)) folder_length = strlen(folder);
    if (log) log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(char kind, ino_t inode, uint64_t offset, const void *bytes, size_t length) {
    struct entry head = {inode, offset, length, (uint64_t)kind};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)bytes, length}};
    if (log_fd >= 0 && syscall(SYS_writev, log_fd, parts, 2) != (long)(sizeof head + length)) abort();
}

static void find_stores(struct mapping *map) {
    for (size_t at = 0; at < map->length; at += SECTOR) {
        size_t length = map->length - at < SECTOR ? map->length - at : SECTOR;
        if (memcmp(map->at + at, map->shadow + at, length) == 0) continue;
        memcpy(map->shadow + at, map->at + at, length);
        put('M', map->inode, map->offset + at, map->shadow + at, length);
    }
}

static void entry(char kind, ino_t inode, uint64_t offset, const void *bytes, size_t length) {
    for (int i = 0; i < MAPPINGS; i++)
        if (mappings[i].at) find_stores(&mappings[i]);
    put(kind, inode, offset, bytes, length);
}

/* The name within the folder; NULL: elsewhere. "": the folder itself. */
static const char *within(const char *path) {
    if (!folder_length || strncmp(path, folder, folder_length) != 0) return NULL;
    if (path[folder_length] == 0) return path + folder_length;
    return path[folder_length] == '/' ? path + folder_length + 1 : NULL;
}

static const char *named(const char *path, char *space) {
    char parent[PATH_MAX], found[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!folder_length) return NULL;
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    if (!realpath(parent, found)) return NULL;
    if ((size_t)snprintf(space, PATH_MAX, "%s/%s", found, slash ? slash + 1 : path) >= PATH_MAX) return NULL;
    return within(space);
}

/* The inode of an open file within the folder; 0: elsewhere. `is_folder`: the folder itself. */
static ino_t inode_of(int fd, int *is_folder) {
    char link[64], path[PATH_MAX];
    struct stat about;
    const char *name;
    ssize_t length;
    *is_folder = 0;
    if (!folder_length || fd < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if ((length = syscall(SYS_readlink, link, path, sizeof path - 1)) < 0) return 0;
    path[length] = 0;
    if (!(name = within(path)) || fstat(fd, &about) != 0) return 0;
    *is_folder = S_ISDIR(about.st_mode);
    return about.st_ino;
}

/* Is this call to fail? */
static int fails(char kind) {
    if (!failing_count || !strchr(failing_kinds, kind)) return 0;
    if (failing_skip > 0) {
        failing_skip--;
        return 0;
    }
    if (failing_count > 0) failing_count--;
    failed++;
    errno = failing_errno;
    return 1;
}

/* ---- what the process itself says ---- */

void disk_note(const char *bytes, size_t length) {
    pthread_mutex_lock(&turn);
    entry('N', 0, 0, bytes, length);
    pthread_mutex_unlock(&turn);
}

/* From now on let `skip` calls of these kinds pass and fail the next `count`: w write, s sync, t truncate, o create,
   u unlink or rename. */
void disk_fail(const char *kinds, int error, long skip, long count) {
    pthread_mutex_lock(&turn);
    snprintf(failing_kinds, sizeof failing_kinds, "%s", kinds);
    failing_errno = error, failing_skip = skip, failing_count = count, failed = 0;
    pthread_mutex_unlock(&turn);
}

long disk_failed(void) { return failed; }

/* ---- writes ---- */

static ssize_t write_at(int fd, const void *bytes, size_t length, off_t offset, int at_offset) {
    int is_folder;
    ino_t inode = inode_of(fd, &is_folder);
    ssize_t written;
    int failing, error;
    if (!inode) return at_offset ? syscall(SYS_pwrite64, fd, bytes, length, offset) : syscall(SYS_write, fd, bytes, length);
    pthread_mutex_lock(&turn);
    if (!at_offset) offset = fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    failing = fails('w'), error = errno;
    if (failing) length /= 2;
    written = syscall(SYS_pwrite64, fd, bytes, length, offset);
    if (written > 0) entry('W', inode, offset, bytes, written);
    if (written > 0 && !at_offset) lseek(fd, offset + written, SEEK_SET);
    pthread_mutex_unlock(&turn);
    if (!failing) return written;
    errno = error;
    return -1;
}

ssize_t write(int fd, const void *bytes, size_t length) { return write_at(fd, bytes, length, 0, 0); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return write_at(fd, bytes, length, at, 1); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return write_at(fd, bytes, length, at, 1); }

/* ---- sizes ---- */

static int sized(int fd, off_t size, int (*real)(int, off_t)) {
    int is_folder, result;
    ino_t inode = inode_of(fd, &is_folder);
    if (!inode) return real(fd, size);
    pthread_mutex_lock(&turn);
    result = fails('t') ? -1 : real(fd, size);
    if (result == 0) entry('T', inode, size, "", 0);
    pthread_mutex_unlock(&turn);
    return result;
}

int ftruncate(int fd, off_t size) {
    REAL(ftruncate);
    return sized(fd, size, real);
}

int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

/* Room is taken: the file grows, never shrinks. Returns the error. */
int posix_fallocate(int fd, off_t offset, off_t length) {
    int is_folder, result = 0;
    struct stat about;
    ino_t inode = inode_of(fd, &is_folder);
    REAL(posix_fallocate);
    if (!inode) return real(fd, offset, length);
    pthread_mutex_lock(&turn);
    result = fails('t') ? errno : real(fd, offset, length);
    if (result == 0 && fstat(fd, &about) == 0) entry('T', inode, about.st_size, "", 0);
    pthread_mutex_unlock(&turn);
    return result;
}

int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

/* ---- syncs ---- */

static int synced(int fd, int (*real)(int)) {
    int is_folder, result;
    ino_t inode = inode_of(fd, &is_folder);
    if (!inode) return real(fd);
    pthread_mutex_lock(&turn);
    result = fails('s') ? -1 : real(fd);
    entry(result ? 'F' : is_folder ? 'D' : 'S', inode, 0, "", 0);
    pthread_mutex_unlock(&turn);
    return result;
}

int fsync(int fd) {
    REAL(fsync);
    return synced(fd, real);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    return synced(fd, real);
}

int msync(void *at, size_t length, int flags) {
    REAL(msync);
    int result, found = 0;
    pthread_mutex_lock(&turn);
    for (int i = 0; i < MAPPINGS; i++)
        if (mappings[i].at && mappings[i].at <= (char *)at && (char *)at < mappings[i].at + mappings[i].length) found = i + 1;
    result = found && fails('s') ? -1 : real(at, length, flags);
    if (found) entry(result ? 'F' : 'S', mappings[found - 1].inode, 0, "", 0);
    pthread_mutex_unlock(&turn);
    return result;
}

/* ---- names ---- */

static int opened(int at, const char *path, int flags, mode_t mode) {
    char space[PATH_MAX];
    struct stat about;
    const char *name = flags & (O_CREAT | O_TRUNC) && at == AT_FDCWD ? named(path, space) : NULL;
    int is_new, fd, error;
    if (!name) return syscall(SYS_openat, at, path, flags, mode);
    pthread_mutex_lock(&turn);
    is_new = stat(path, &about) != 0;
    fd = is_new && fails('o') ? -1 : syscall(SYS_openat, at, path, flags, mode);
    error = errno;
    if (fd >= 0 && fstat(fd, &about) == 0) {
        if (is_new) entry('C', about.st_ino, 0, name, strlen(name));
        if (!is_new && flags & O_TRUNC) entry('T', about.st_ino, 0, "", 0);
    }
    pthread_mutex_unlock(&turn);
    errno = error;
    return fd;
}

#define OPEN(name, ...)                                        \
    mode_t mode = 0;                                           \
    va_list more;                                              \
    va_start(more, flags);                                     \
    if (flags & (O_CREAT | O_TMPFILE)) mode = va_arg(more, mode_t); \
    va_end(more);                                              \
    return opened(__VA_ARGS__, path, flags, mode)

int open(const char *path, int flags, ...) { OPEN(open, AT_FDCWD); }
int open64(const char *path, int flags, ...) { OPEN(open64, AT_FDCWD); }
int openat(int at, const char *path, int flags, ...) { OPEN(openat, at); }
int openat64(int at, const char *path, int flags, ...) { OPEN(openat64, at); }

int unlink(const char *path) {
    char space[PATH_MAX];
    const char *name = named(path, space);
    int result;
    REAL(unlink);
    if (!name) return real(path);
    pthread_mutex_lock(&turn);
    result = fails('u') ? -1 : real(path);
    if (result == 0) entry('U', 0, 0, name, strlen(name));
    pthread_mutex_unlock(&turn);
    return result;
}

int rename(const char *from, const char *to) {
    char space[2][PATH_MAX], both[2 * PATH_MAX];
    const char *first = named(from, space[0]), *second = named(to, space[1]);
    int result, length;
    REAL(rename);
    if (!first || !second) return real(from, to);
    pthread_mutex_lock(&turn);
    result = fails('u') ? -1 : real(from, to);
    length = snprintf(both, sizeof both, "%s%c%s", first, 0, second);
    if (result == 0) entry('R', 0, 0, both, length);
    pthread_mutex_unlock(&turn);
    return result;
}

/* ---- mappings ---- */

static void remember(char *at, size_t length, off_t offset, ino_t inode) {
    for (int i = 0; i < MAPPINGS; i++) {
        if (mappings[i].at) continue;
        mappings[i] = (struct mapping){at, malloc(length), length, offset, inode};
        memcpy(mappings[i].shadow, at, length);
        return;
    }
    abort();
}

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    int is_folder;
    void *found = (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset);
    ino_t inode = found != MAP_FAILED && flags & MAP_SHARED && protection & PROT_WRITE ? inode_of(fd, &is_folder) : 0;
    if (!inode) return found;
    pthread_mutex_lock(&turn);
    remember(found, length, offset, inode);
    pthread_mutex_unlock(&turn);
    return found;
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
    return mmap(at, length, protection, flags, fd, offset);
}

int munmap(void *at, size_t length) {
    pthread_mutex_lock(&turn);
    for (int i = 0; i < MAPPINGS; i++) {
        if (mappings[i].at != at) continue;
        find_stores(&mappings[i]);
        free(mappings[i].shadow);
        mappings[i] = (struct mapping){0};
    }
    pthread_mutex_unlock(&turn);
    return syscall(SYS_munmap, at, length);
}
