/* LD_PRELOAD: while the file $NEMESIS_FAIL_FSYNC exists, fsync and fdatasync fail with EIO; each adds a byte to that path + ".hits". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int fails(void) {
  const char *flag = getenv("NEMESIS_FAIL_FSYNC");
  if (flag == NULL || access(flag, F_OK) != 0) return 0;
  char hits[PATH_MAX];
  snprintf(hits, sizeof hits, "%s.hits", flag);
  int fd = open(hits, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (fd >= 0) {
    if (write(fd, ".", 1) != 1) abort();
    close(fd);
  }
  errno = EIO;
  return 1;
}

int fsync(int fd) {
  int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  return fails() ? -1 : next(fd);
}

int fdatasync(int fd) {
  int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  return fails() ? -1 : next(fd);
}
