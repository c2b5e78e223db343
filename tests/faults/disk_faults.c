/* Disk faults at a chosen operation, for files below one folder. Preloaded into a process, armed from inside it:
 *
 *     cc -shared -fPIC -O2 -o disk_faults.so disk_faults.c -ldl
 *     LD_PRELOAD=./disk_faults.so python …      ctypes.CDLL(None).disk_faults_arm(b"/tmp/out", 3, 0)
 *
 * From the `nth` operation on, every operation fails with `code`; with code 0 the process ends at once at the `nth`, half of
 * a write's bytes being already on disk. Operations: open for writing, write, pwrite, ftruncate, fsync, fdatasync, rename.
 *
 * disk_faults_watch(b"/tmp/out", function) calls a function before each operation instead. It may fork and arm the fork
 * for operation 1, the one that is to come; it must put back what the fork has done to the folder. Nothing is flushed to
 * the disk meanwhile: that takes most of the time, and no power is cut here.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char folder[4096];
static long countdown = -1;
static int error_code;
static void (*before_each)(void);
static int is_watching;

void disk_faults_arm(const char *below, long nth, int code) {
    snprintf(folder, sizeof folder, "%s", below);
    countdown = nth;
    error_code = code;
    before_each = NULL;
}

void disk_faults_watch(const char *below, void (*function)(void)) {
    disk_faults_arm(below, LONG_MAX, 0);
    before_each = function;
}

static int concerns_path(const char *path) {
    return countdown >= 0 && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int concerns_file(int fd) {
    char link[64], path[4096];
    if (countdown < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return concerns_path(path);
}

/* Whether the fault is due. */
static int due(int concerned) {
    if (!concerned) return 0;
    if (before_each && !is_watching) {
        is_watching = 1; /* what the function itself does is no operation */
        before_each();
        is_watching = 0;
    }
    if (countdown > 0) countdown--;
    return countdown == 0;
}

static int fail(void) {
    if (error_code == 0) _exit(9);
    errno = error_code;
    return -1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t count) {
    int concerned = concerns_file(fd);
    off_t at = concerned && before_each ? lseek(fd, 0, SEEK_CUR) : -1;
    if (due(concerned)) {
        if (error_code == 0) REAL(write)(fd, bytes, count / 2);
        return fail();
    }
    if (at >= 0) lseek(fd, at, SEEK_SET); /* a fork shares the place in the file, and half a write moves it */
    return REAL(write)(fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    return due(concerns_file(fd)) ? fail() : REAL(pwrite64)(fd, bytes, count, offset);
}

int ftruncate64(int fd, off64_t length) { return due(concerns_file(fd)) ? fail() : REAL(ftruncate64)(fd, length); }
int fsync(int fd) { return due(concerns_file(fd)) ? fail() : before_each ? 0 : REAL(fsync)(fd); }
int fdatasync(int fd) { return due(concerns_file(fd)) ? fail() : before_each ? 0 : REAL(fdatasync)(fd); }
int rename(const char *from, const char *to) { return due(concerns_path(to)) ? fail() : REAL(rename)(from, to); }

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return due(concerns_path(path) && (flags & O_ACCMODE) != O_RDONLY) ? fail() : REAL(open64)(path, flags, mode);
}
