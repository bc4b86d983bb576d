/* aigw-lookup: what it costs to find an API key among many, as mod_aigw_auth does it: the SHA-256 of the credential, and one look at the key file in memory.
 * Writes such a file too, for measurements of the whole gateway. One JSON object on the standard output. */
#include "aigw_key_file.h"
#include "hist.h"
#include "measure.h"

#include <apr_general.h>
#include <apr_strings.h>

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
    long keys, looks;
    const char *write;
} opt = {.keys = 100000, .looks = 1000000};

static void usage(void)
{
    fputs("usage: aigw-lookup [options]\n"
          "  --keys N      so many in the file (100000)\n"
          "  --looks N     how often a key is looked up, and as often one that is not there (1000000)\n"
          "  --write FILE  writes the key file and says one of its keys, {\"key\": \"...\"}, instead\n",
          stderr);
    exit(2);
}

static void read_options(int argc, char **argv)
{
    static const struct option longs[] = {{"keys", 1, NULL, 'k'}, {"looks", 1, NULL, 'l'}, {"write", 1, NULL, 'w'}, {NULL, 0, NULL, 0}};
    int which;

    while ((which = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (which) {
        case 'k':
            opt.keys = atol(optarg);
            break;
        case 'l':
            opt.looks = atol(optarg);
            break;
        case 'w':
            opt.write = optarg;
            break;
        default:
            usage();
        }
    }
    if (optind < argc || opt.keys < 1 || opt.looks < 1) {
        usage();
    }
}

static char *make_key(apr_pool_t *p, long i, uint64_t *state)
{
    unsigned char random[AIGW_API_KEY_RANDOM];
    size_t at;

    for (at = 0; at < sizeof random; at += sizeof(uint64_t)) {
        uint64_t v = next_random(state);

        memcpy(random + at, &v, sizeof v);
    }
    return aigw_api_key_format(p, apr_psprintf(p, "k%ld", i), random);
}

static void must(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "aigw-lookup: %s\n", what);
        exit(1);
    }
}

/* The text of a key file with these keys. */
static char *make_text(char **keys, size_t *len)
{
    char *text = NULL, hex[2 * AIGW_SHA256 + 1];
    unsigned char digest[AIGW_SHA256];
    FILE *out = open_memstream(&text, len);
    long i;
    int at;

    must(out != NULL, "no memory");
    for (i = 0; i < opt.keys; i++) {
        must(aigw_api_key_digest(keys[i], strlen(keys[i]), digest) == APR_SUCCESS, "no SHA-256");
        for (at = 0; at < AIGW_SHA256; at++) {
            snprintf(hex + 2 * at, 3, "%02x", digest[at]);
        }
        fprintf(out, "{\"id\":\"k%ld\",\"sha256\":\"%s\",\"user\":\"user-%ld\",\"tier\":\"pro\",\"scopes\":[\"chat\",\"chat:write\"]}\n", i,
                hex, i);
    }
    must(fclose(out) == 0, "no memory");
    return text;
}

static void write_file(const char *text, size_t len, const char *key)
{
    FILE *out = fopen(opt.write, "w");

    if (!out || fwrite(text, 1, len, out) != len || fclose(out)) {
        perror(opt.write);
        exit(1);
    }
    printf("{\"key\": \"%s\"}\n", key);
}

/* One after the other in an order that no cache knows. Returns how many were found. */
static long look(const aigw_key_file_t *file, char **keys, uint64_t *state, hist *took)
{
    unsigned char digest[AIGW_SHA256];
    long i, found = 0;

    for (i = 0; i < opt.looks; i++) {
        const char *key = keys[next_random(state) % (uint64_t)opt.keys];
        size_t len = strlen(key); /* the key itself is in the cache: it has just come in */
        uint64_t began = now_ns();

        if (aigw_api_key_digest(key, len, digest) == APR_SUCCESS) {
            found += aigw_key_file_find(file, digest) != NULL;
        }
        hist_add(took, (int64_t)(now_ns() - began));
    }
    return found;
}

int main(int argc, char **argv)
{
    static hist hit, miss;
    uint64_t state = 1, began, took;
    apr_pool_t *p, *file_pool;
    aigw_key_file_t *file;
    aigw_key_fault_t fault;
    char **keys, **others, *text;
    size_t len;
    long i;

    read_options(argc, argv);
    apr_initialize();
    apr_pool_create(&p, NULL);
    apr_pool_create(&file_pool, p);
    keys = apr_palloc(p, (size_t)opt.keys * sizeof *keys);
    others = apr_palloc(p, (size_t)opt.keys * sizeof *others);
    for (i = 0; i < opt.keys; i++) {
        keys[i] = make_key(p, i, &state);
        others[i] = make_key(p, i, &state);
    }
    text = make_text(keys, &len);
    if (opt.write) {
        write_file(text, len, keys[opt.keys / 2]);
        return 0;
    }
    began = now_ns();
    must(aigw_key_file_read(&file, text, len, file_pool, &fault) == APR_SUCCESS, "the key file is refused");
    took = now_ns() - began;
    must(look(file, keys, &state, &hit) == opt.looks, "a key was not found");
    must(look(file, others, &state, &miss) == 0, "a key was found that is not there");
    printf("{\"keys\": %ld, \"file_bytes\": %zu, \"read_ms\": %.1f, \"hit_us\": ", opt.keys, len, (double)took / 1e6);
    hist_quantiles(&hit, stdout, 1e3);
    printf(", \"miss_us\": ");
    hist_quantiles(&miss, stdout, 1e3);
    printf("}\n");
    free(text);
    apr_pool_destroy(p);
    return 0;
}
