#include "key_store.h"
#include "key_say.h"

#include <apr_strings.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define LOCK_PATIENCE apr_time_from_sec(30) /* a change takes milliseconds: whoever holds it longer is stuck */
#define LOCK_RETRY    apr_time_from_msec(10)
#define MODE_NEW      0640

/* What to do about an errno; begins with a space. */
static const char *remedy(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return " Run it as root or as the owner of the file and its folder.";
    case ENOENT:
        return " Look at the path after --file.";
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return " Make room and try again.";
    case EROFS:
        return " Make the file system writable.";
    case EBUSY: /* a container's single-file mount */
        return " If the file is a mount of its own, mount its folder instead.";
    default:
        return "";
    }
}

/* ------------------------------------------------------------------ where it is */

/* The path of a file that is not there yet. */
static int resolve_new(key_store_t *store)
{
    const char *slash = strrchr(store->name, '/'), *base = slash ? slash + 1 : store->name;
    const char *folder = !slash                 ? "."
                         : slash == store->name ? "/"
                                                : apr_pstrmemdup(store->p, store->name, (apr_size_t)(slash - store->name));
    struct stat st;
    char *real;

    if (lstat(store->name, &st) == 0) {
        return key_failed("%s is a symbolic link to a file that is not there. Make that file or remove the link.", store->name);
    }
    real = realpath(folder, NULL);
    if (!real || !*base) {
        free(real);
        return key_failed("%s: there is no such folder. Make it first.", *base ? folder : store->name);
    }
    store->path = apr_pstrcat(store->p, strcmp(real, "/") ? real : "", "/", base, NULL);
    free(real);
    return KEY_OK;
}

static int resolve(key_store_t *store, int may_be_new)
{
    char *real = realpath(store->name, NULL);

    if (real) {
        store->path = apr_pstrdup(store->p, real);
        free(real);
        return KEY_OK;
    }
    if (errno == ENOENT && may_be_new) {
        return resolve_new(store);
    }
    return key_failed("%s: %s.%s", store->name, strerror(errno), remedy(errno));
}

/* ------------------------------------------------------------------ the lock */

/* The file of the lock belongs to whom the key file belongs to: root's first run must not lock its owner out. It is nobody else's to open, since flock() asks for
 * no more than that. Only a file that was made here is given away. */
static int open_lock(const char *path, const char *of)
{
    int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct stat st;

    if (fd >= 0) {
        if (stat(of, &st) == 0 && st.st_uid != geteuid() && fchown(fd, st.st_uid, st.st_gid) < 0) {
            key_say("%s could not be given to the owner of %s: %s.", path, of, strerror(errno));
        }
        return fd;
    }
    return errno == EEXIST ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
}

static int lock(key_store_t *store)
{
    const char *path = apr_pstrcat(store->p, store->path, ".lock", NULL);
    apr_time_t deadline = apr_time_now() + LOCK_PATIENCE;

    store->lock = open_lock(path, store->path);
    if (store->lock < 0) {
        return key_failed("%s cannot be opened: %s.%s", path, strerror(errno), remedy(errno));
    }
    while (flock(store->lock, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return key_failed("%s cannot be locked: %s.", path, strerror(errno));
        }
        if (apr_time_now() > deadline) {
            return key_failed("Another aigw-key holds %s. Wait until it has ended, or end it.", path);
        }
        apr_sleep(LOCK_RETRY);
    }
    return KEY_OK;
}

/* ------------------------------------------------------------------ reading */

/* All of an open file; -1 and errno. */
static int slurp(int fd, apr_size_t expected, key_text_t *text, apr_pool_t *p)
{
    apr_size_t size = expected + 1; /* one more, to see the end in the first round */
    char *buffer = apr_palloc(p, size);
    ssize_t n;

    while ((n = read(fd, buffer + text->len, size - text->len)) != 0) {
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        text->len += n > 0 ? (apr_size_t)n : 0;
        if (text->len == size) {
            char *larger = apr_palloc(p, 2 * size);

            memcpy(larger, buffer, size);
            buffer = larger;
            size *= 2;
        }
    }
    text->bytes = buffer;
    return 0;
}

static int read_text(key_store_t *store, int may_be_new)
{
    int fd = open(store->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), error;

    if (fd < 0 && errno == ENOENT && may_be_new) {
        store->is_new = 1;
        return KEY_OK;
    }
    if (fd < 0) {
        return key_failed("%s cannot be read: %s.%s", store->name, strerror(errno), remedy(errno));
    }
    if (fstat(fd, &store->was) < 0 || !S_ISREG(store->was.st_mode)) {
        close(fd);
        return key_failed("%s is not a regular file. Look at the path after --file.", store->name);
    }
    error = slurp(fd, (apr_size_t)store->was.st_size, &store->text, store->p) < 0 ? errno : 0;
    close(fd);
    return error ? key_failed("%s cannot be read: %s.", store->name, strerror(error)) : KEY_OK;
}

int key_store_open(key_store_t *store, const char *name, key_store_how_e how, apr_pool_t *p)
{
    aigw_key_fault_t fault;

    memset(store, 0, sizeof *store);
    store->p = p;
    store->name = name;
    store->lock = -1;
    store->text.bytes = "";
    if (resolve(store, how == KEY_STORE_MAKE) || (how != KEY_STORE_LOOK && lock(store)) || read_text(store, how == KEY_STORE_MAKE)) {
        return KEY_FAILED;
    }
    if (aigw_key_file_read(&store->file, store->text.bytes, store->text.len, p, &fault) != APR_SUCCESS) {
        return key_failed("%s, line %d: %s Correct that line first; the file is as it was.", name, fault.line, fault.message);
    }
    return KEY_OK;
}

const aigw_key_t *key_store_find(const key_store_t *store, const char *id)
{
    apr_size_t i;

    for (i = 0; i < store->file->n; i++) {
        if (!strcmp(store->file->keys[i]->id, id)) {
            return store->file->keys[i];
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ writing */

static int write_all(int fd, const key_text_t *text)
{
    apr_size_t done = 0;

    while (done < text->len) {
        ssize_t n = write(fd, text->bytes + done, text->len - done);

        if (n < 0 && errno != EINTR) {
            return -1;
        }
        done += n > 0 ? (apr_size_t)n : 0;
    }
    return 0;
}

/* The owner before the mode: a change of the owner may take bits of the mode away. */
static int like_before(int fd, const key_store_t *store)
{
    struct stat st;

    if (store->is_new) {
        return fchmod(fd, MODE_NEW);
    }
    if (fstat(fd, &st) < 0) {
        return -1;
    }
    if ((st.st_uid != store->was.st_uid || st.st_gid != store->was.st_gid) && fchown(fd, store->was.st_uid, store->was.st_gid) < 0) {
        return -1;
    }
    return fchmod(fd, store->was.st_mode & 07777);
}

/* An editor knows nothing of the lock. */
static int is_as_read(const key_store_t *store)
{
    const struct stat *was = &store->was;
    struct stat st;

    if (stat(store->path, &st) < 0) {
        return store->is_new && errno == ENOENT;
    }
    return !store->is_new && st.st_dev == was->st_dev && st.st_ino == was->st_ino && st.st_size == was->st_size &&
           st.st_mtim.tv_sec == was->st_mtim.tv_sec && st.st_mtim.tv_nsec == was->st_mtim.tv_nsec;
}

/* The name is always the same: what a killed run has left is removed by the next one, which holds the lock. */
static int stage(key_store_t *store, const key_text_t *text)
{
    const char *path = apr_pstrcat(store->p, store->path, ".new", NULL);
    aigw_key_fault_t fault;
    aigw_key_file_t *file;
    int fd, error = 0;

    if (aigw_key_file_read(&file, text->bytes, text->len, store->p, &fault) != APR_SUCCESS) {
        return key_failed("%s would not be valid any more, line %d: %s It is as it was.", store->name, fault.line, fault.message);
    }
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return key_failed("%s cannot be made: %s.%s", path, strerror(errno), remedy(errno));
    }
    store->staged = path;
    if (write_all(fd, text) < 0 || like_before(fd, store) < 0 || fsync(fd) < 0) {
        error = errno;
    }
    if (close(fd) < 0 && !error) {
        error = errno;
    }
    if (error) {
        return key_failed("%s cannot be written: %s.%s %s is as it was.", path, strerror(error), remedy(error), store->name);
    }
    return is_as_read(store) ? KEY_OK : key_failed("%s was changed by another program just now. Try again.", store->name);
}

int key_store_append(key_store_t *store, const aigw_key_t *key)
{
    const char *line = aigw_key_line_write(store->p, key);
    key_text_t text;

    if (!line) {
        return key_failed("The line of \"%s\" cannot be written: it is too long.", key->id);
    }
    text = key_text_append(&store->text, line, store->p);
    return stage(store, &text);
}

int key_store_replace(key_store_t *store, const aigw_key_t *key)
{
    const char *line = aigw_key_line_write(store->p, key);
    key_text_t text = {NULL, 0};

    if (line) {
        text = key_text_replace(&store->text, key->id, line, store->p);
    }
    return text.bytes ? stage(store, &text) : key_failed("The line of \"%s\" cannot be written.", key->id);
}

/* The rename is on disk when the folder is. */
static int sync_folder(const key_store_t *store)
{
    const char *slash = strrchr(store->path, '/');
    const char *folder = slash == store->path ? "/" : apr_pstrmemdup(store->p, store->path, (apr_size_t)(slash - store->path));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;

    if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL)) { /* EINVAL: a file system that cannot */
        error = errno;
    }
    if (fd >= 0) {
        close(fd);
    }
    return error ? key_failed("%s is changed, but may not outlast a power cut: %s: %s.", store->name, folder, strerror(error)) : KEY_OK;
}

int key_store_commit(key_store_t *store)
{
    if (rename(store->staged, store->path) < 0) {
        return key_failed("%s cannot be replaced: %s.%s It is as it was.", store->name, strerror(errno), remedy(errno));
    }
    store->staged = NULL;
    return sync_folder(store);
}

void key_store_close(key_store_t *store)
{
    if (store->staged) {
        unlink(store->staged);
        store->staged = NULL;
    }
    if (store->lock >= 0) {
        close(store->lock);
        store->lock = -1;
    }
}
