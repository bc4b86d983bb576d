/* Replays every file of the folders given through a fuzz target, for compilers without libFuzzer and for `make check`. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

/* 1, or 0 if the file cannot be read. */
static int replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size ? size : 1);
    int good = file && data && fread(data, 1, size, file) == size;

    if (good) {
        LLVMFuzzerTestOneInput(data, size);
    }
    else {
        fprintf(stderr, "%s: cannot be read\n", path);
    }
    free(data);
    if (file) {
        fclose(file);
    }
    return good;
}

/* The number of files replayed, -1 on failure. */
static int replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int n = 0;

    if (!dir) {
        fprintf(stderr, "%s: %s\n", folder, strerror(errno));
        return -1;
    }
    while (n >= 0 && (entry = readdir(dir)) != NULL) {
        char path[4096];
        struct stat st;
        int len = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);

        if (len < 0 || (size_t)len >= sizeof(path) || stat(path, &st) != 0) {
            fprintf(stderr, "%s: cannot be read\n", entry->d_name);
            n = -1;
        }
        else if (S_ISREG(st.st_mode)) {
            n = replay_file(path, (size_t)st.st_size) ? n + 1 : -1;
        }
    }
    closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    int i, total = 0;

    for (i = 1; i < argc; ++i) {
        int n = replay_folder(argv[i]);

        if (n < 0) {
            return EXIT_FAILURE;
        }
        total += n;
    }
    printf("%d inputs replayed\n", total);
    return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
