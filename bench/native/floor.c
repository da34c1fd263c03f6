/* floor: what the system calls of a closed loop cost and nothing else. It sends a prebuilt request, waits, receives
 * whatever comes and sends the next: no parsing, no clock per request, no checks. No client can be cheaper by more
 * than the calls it leaves out.
 *
 *     floor PORT CONNECTIONS SECONDS
 *
 * It prints the number of answers and the CPU time in nanoseconds that they took. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static int dial(int port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static int alarm_after(double seconds) {
    struct itimerspec when = {.it_value = {.tv_sec = (long)seconds, .tv_nsec = (long)((seconds - (long)seconds) * 1e9)}};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (fd < 0 || timerfd_settime(fd, 0, &when, NULL) < 0) die("timerfd");
    return fd;
}

static long long cpu_time(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000LL + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000LL;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: floor PORT CONNECTIONS SECONDS\n");
        return 2;
    }
    char request[256];
    int port = atoi(argv[1]), connections = atoi(argv[2]);
    int size = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", port);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    long long begin = cpu_time();
    for (int i = 0; i < connections; i++) {
        int fd = dial(port);
        watch(epoll, fd);
        if (send(fd, request, size, MSG_NOSIGNAL) != size) die("send");
    }
    int timer = alarm_after(atof(argv[3]));
    watch(epoll, timer);
    for (long answers = 0;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            static char buffer[65536];
            int fd = events[i].data.fd;
            if (fd == timer) {
                printf("%ld %lld\n", answers, cpu_time() - begin);
                return 0;
            }
            if (recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) <= 0) die("recv");
            answers++;
            if (send(fd, request, size, MSG_DONTWAIT | MSG_NOSIGNAL) != size) die("send");
        }
    }
}
