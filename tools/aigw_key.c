/* aigw-key: manages the gateway's file of API keys. See aigw-key.1. */
#include "aigw_rfc3339.h"
#include "aigw_version.h"
#include "key_args.h"
#include "key_list.h"
#include "key_say.h"
#include "key_secret.h"
#include "key_store.h"

#include <apr_general.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] = "aigw-key manages the file of API keys of mod_aigw.\n"
                           "\n"
                           "  aigw-key create  --file FILE --user USER [--id ID] [--tier TIER] [--scope SCOPE]... [--model PATTERN]...\n"
                           "                   [--expires DATE|DAYSd|HOURSh] [--note TEXT]\n"
                           "                                   adds a key and prints it, once\n"
                           "  aigw-key list    --file FILE [--json]\n"
                           "                                   shows who has keys\n"
                           "  aigw-key disable --file FILE ID  the key is refused from now on\n"
                           "  aigw-key enable  --file FILE ID  the key is accepted again\n"
                           "  aigw-key rotate  --file FILE ID  replaces the key by a new one, the rest stays, and prints it, once\n"
                           "  aigw-key --help | --version\n"
                           "\n"
                           "Keys go to the standard output, everything else to the standard error.\n"
                           "Status: 0 done, 1 it could not be done, 2 the arguments are wrong.\n";

/* A descriptor that is closed would be given to the next file that is opened, and be written to. What takes its place cannot be written to: a missing standard
 * output must be an error. */
static void fill_descriptors(void)
{
    int fd;

    for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) {
            _exit(KEY_FAILED);
        }
    }
}

static int print(const char *text)
{
    return fputs(text, stdout) < 0 || fflush(stdout) ? key_failed("The standard output cannot be written: %s.", strerror(errno)) : KEY_OK;
}

/* Prints the new key, and only then puts the file that knows it in place. The other way round, a standard output that fails (a closed pipe, a full disk) would
 * leave behind a key that is valid but that nobody has, and a rotate would have ended a key that is in use without giving out another. All that can fail for want
 * of space or rights has been done when the key is printed; one rename is left. Should that fail, a key was printed that does not work, which is said and harmless. */
static int publish(key_store_t *store, key_secret_t *secret)
{
    int rc = key_secret_print(secret);

    key_secret_wipe(secret);
    if (rc == KEY_OK) {
        rc = key_store_commit(store);
        if (store->staged) {
            key_say("The key that was printed does not work: throw it away.");
        }
    }
    return rc;
}

static void say_state(const aigw_key_t *key, apr_time_t now)
{
    if (key->disabled) {
        key_say("\"%s\" is disabled: it is refused until aigw-key enable.", key->id);
    }
    else if (key->expires && key->expires <= now) {
        key_say("\"%s\" has expired: it is refused. Create a new one.", key->id);
    }
}

static int create(key_store_t *store, aigw_key_t *key, apr_time_t now)
{
    key_secret_t secret;
    int rc;

    if (key->id && key_store_find(store, key->id)) {
        return key_failed("There is a key \"%s\" in %s already. Choose another --id, or give it a new secret with aigw-key rotate.",
                          key->id, store->name);
    }
    while (!key->id || key_store_find(store, key->id)) {
        if (!(key->id = key_id_random(store->p))) {
            return KEY_FAILED;
        }
    }
    key->created = aigw_rfc3339_format(store->p, now);
    if (key_secret_make(&secret, key->digest, key->id, store->p)) {
        return KEY_FAILED;
    }
    rc = key_store_append(store, key);
    rc = rc ? rc : publish(store, &secret);
    key_secret_wipe(&secret);
    if (rc == KEY_OK) {
        key_say("Key \"%s\" is in %s. It cannot be shown again.", key->id, store->name);
    }
    return rc;
}

static int rotate(key_store_t *store, aigw_key_t *key, apr_time_t now)
{
    key_secret_t secret;
    int rc;

    if (key_secret_make(&secret, key->digest, key->id, store->p)) {
        return KEY_FAILED;
    }
    rc = key_store_replace(store, key);
    rc = rc ? rc : publish(store, &secret);
    key_secret_wipe(&secret);
    if (rc == KEY_OK) {
        key_say("Key \"%s\" in %s is a new one. It cannot be shown again; the old one is not valid any more.", key->id, store->name);
        say_state(key, now);
    }
    return rc;
}

static int set_disabled(key_store_t *store, aigw_key_t *key, int disabled, apr_time_t now)
{
    if (key->disabled == disabled) {
        key_say("\"%s\" is %s already. Nothing was changed.", key->id, disabled ? "disabled" : "enabled");
        return KEY_OK;
    }
    key->disabled = disabled;
    if (key_store_replace(store, key) || key_store_commit(store)) {
        return KEY_FAILED;
    }
    key_say("\"%s\" is %s.", key->id, disabled ? "disabled" : "enabled");
    if (!disabled) {
        say_state(key, now);
    }
    return KEY_OK;
}

/* disable, enable and rotate: of a key that is there. */
static int change(key_store_t *store, const key_args_t *args, apr_time_t now)
{
    const aigw_key_t *found = key_store_find(store, args->key.id);
    aigw_key_t key;

    if (!found) {
        return key_failed("There is no key \"%s\" in %s. aigw-key list shows those that are.", args->key.id, store->name);
    }
    key = *found;
    return args->command == KEY_ROTATE ? rotate(store, &key, now) : set_disabled(store, &key, args->command == KEY_DISABLE, now);
}

static int run(key_args_t *args, apr_time_t now, apr_pool_t *p)
{
    key_store_t store;
    int rc;

    if (args->command == KEY_HELP || args->command == KEY_VERSION) {
        return print(args->command == KEY_HELP ? help : "aigw-key " AIGW_VERSION "\n");
    }
    rc = key_store_open(&store, args->file,
                        args->command == KEY_LIST     ? KEY_STORE_LOOK
                        : args->command == KEY_CREATE ? KEY_STORE_MAKE
                                                      : KEY_STORE_CHANGE,
                        p);
    if (rc == KEY_OK) {
        rc = args->command == KEY_CREATE ? create(&store, &args->key, now)
             : args->command != KEY_LIST ? change(&store, args, now)
             : args->json                ? key_list_json(store.file, now, p)
                                         : key_list_table(store.file, now, p);
    }
    key_store_close(&store);
    return rc;
}

int main(int argc, char **argv)
{
    apr_time_t now = apr_time_now();
    key_args_t args;
    apr_pool_t *p;
    int rc;

    fill_descriptors();
    signal(SIGPIPE, SIG_IGN); /* an error of write(), which is dealt with */
    signal(SIGXFSZ, SIG_IGN);
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&p, NULL) != APR_SUCCESS) {
        return key_failed("APR could not be initialised.");
    }
    rc = key_args_read(&args, argc, argv, now, p);
    rc = rc ? rc : run(&args, now, p);
    apr_terminate();
    return rc;
}
