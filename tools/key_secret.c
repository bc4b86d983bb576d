#include "key_secret.h"
#include "key_say.h"

#include <apr_strings.h>
#include <openssl/crypto.h>

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define ID_LENGTH 8

/* getrandom() waits until the kernel has entropy, and gives up to 256 bytes whole. */
static int random_bytes(unsigned char *to, apr_size_t n)
{
    ssize_t got;

    do {
        got = getrandom(to, n, 0);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)n ? KEY_OK : key_failed("The system gave no random bytes: %s.", got < 0 ? strerror(errno) : "too few");
}

int key_secret_make(key_secret_t *secret, unsigned char digest[AIGW_SHA256], const char *id, apr_pool_t *p)
{
    unsigned char random[AIGW_API_KEY_RANDOM];

    if (random_bytes(random, sizeof random)) {
        return KEY_FAILED;
    }
    secret->text = aigw_api_key_format(p, id, random);
    secret->len = strlen(secret->text);
    OPENSSL_cleanse(random, sizeof random);
    if (aigw_api_key_digest(secret->text, secret->len, digest) != APR_SUCCESS) {
        key_secret_wipe(secret);
        return key_failed("OpenSSL could not compute a SHA-256.");
    }
    return KEY_OK;
}

int key_secret_print(const key_secret_t *secret)
{
    const char *from = secret->text, *end = from + secret->len + 1;
    int rc = 0, again;

    secret->text[secret->len] = '\n'; /* one write: never a key without its end */
    while (from < end && rc == 0) {
        ssize_t n = write(STDOUT_FILENO, from, (size_t)(end - from));

        if (n >= 0) {
            from += n;
        }
        else if (errno != EINTR) {
            rc = errno;
        }
    }
    secret->text[secret->len] = '\0';
    /* a file on a network says only when it is closed that it was not written */
    if (rc == 0 && ((again = dup(STDOUT_FILENO)) < 0 || close(again) < 0)) {
        rc = errno;
    }
    return rc == 0 ? KEY_OK : key_failed("The key could not be written to the standard output: %s. Nothing was changed.", strerror(rc));
}

void key_secret_wipe(key_secret_t *secret)
{
    OPENSSL_cleanse(secret->text, secret->len);
    secret->len = 0;
}

char *key_id_random(apr_pool_t *p)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char random[ID_LENGTH];
    char *id = apr_palloc(p, ID_LENGTH + 1);
    int i;

    if (random_bytes(random, sizeof random)) {
        return NULL;
    }
    for (i = 0; i < ID_LENGTH; i++) {
        id[i] = alphabet[random[i] & 31];
    }
    id[ID_LENGTH] = '\0';
    return id;
}
