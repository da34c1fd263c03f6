/* server: an efficient HTTP server, one epoll thread, one fixed answer to every request. It parses no more than
 * "the bytes end with an empty line", which is enough for clients that send GETs without pipelining.
 *
 *     server CPU STALL_MS
 *
 * It pins itself to CPU, listens on a free port of 127.0.0.1, prints the port and serves until it is killed. With
 * STALL_MS above 0 it stops once a second, on the second of the monotonic clock, and does nothing until STALL_MS
 * milliseconds of that second have passed. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static int listen_on_any_port(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 1024) < 0) die("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0) die("getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

/* every_second is a descriptor that is readable from each whole second of the monotonic clock. */
static int every_second(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct itimerspec when = {.it_interval.tv_sec = 1, .it_value.tv_sec = now.tv_sec + 1};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL) < 0) die("timerfd");
    return fd;
}

/* stall sleeps until milliseconds of this second have passed. */
static void stall(int timer, long milliseconds) {
    unsigned long long seconds;
    if (read(timer, &seconds, sizeof seconds) < 0) return;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec = milliseconds * 1000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
}

static void accept_all(int epoll, int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(epoll, fd);
    }
}

static void serve(int fd) {
    char buffer[16384];
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        close(fd);
        return;
    }
    if (n < 4 || memcmp(buffer + n - 4, "\r\n\r\n", 4) != 0) return; /* the rest is yet to come */
    if (send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0) close(fd);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: server CPU STALL_MS\n");
        return 2;
    }
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(atoi(argv[1]), &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) < 0) die("sched_setaffinity");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1);
    long milliseconds = atol(argv[2]);
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = listen_on_any_port();
    int timer = milliseconds > 0 ? every_second() : -1;
    watch(epoll, listener);
    if (timer >= 0) watch(epoll, timer);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == timer) stall(timer, milliseconds);
            else if (fd == listener) accept_all(epoll, listener);
            else serve(fd);
        }
    }
}
