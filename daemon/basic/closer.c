/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "closer.h"

/*
 * Two kinds of helpers share the table of descriptors with this process
 * (CLONE_FILES), but not its memory:
 *
 * Workers close what they are told to. If close(2) waits for a socket, a signal ends
 * that; if it waits for a server, the worker is killed; if that does not help, as with
 * FUSE, the worker is left alone, and another one is started. Since each budget has at
 * most one worker, WORKERS_MAX parties have to get one stuck before descriptors of
 * others are not closed; these still count against the budgets that they came with.
 *
 * The janitor waits for the death of this process. A worker that is stuck would keep
 * the table, with connections and sessions of the device in it, so the janitor closes
 * everything then, first of all what cannot block it.
 */

#define WORKERS_MAX 32U

/* Descriptors that a worker is given at once. */
#define BATCH_MAX 250U

/* How long the workers may take before another one is started, and how often those that take longer are looked at. */
#define PATIENCE_USEC (20 * USEC_PER_SEC / 1000)
#define STUCK_USEC USEC_PER_SEC

/* How long a worker waits for one socket. */
#define ALARM_USEC 1000

/* If so many descriptors of a budget wait, further ones are closed at once if they are files in memory. */
#define WAITING_MAX 1024U

/* Descriptors from here on have no mark. */
#define MARKS_MAX (1U << 20)

#ifndef F_GET_SEALS
#define F_GET_SEALS 1034
#endif

/* Memory that the helpers share with this process. */
typedef struct Shared {
        size_t progress[WORKERS_MAX]; /* how many descriptors of its batch a worker has begun to close */
        uint8_t marks[MARKS_MAX];
} Shared;

typedef struct Worker {
        pid_t pid; /* 0: there is none */
        int fd;    /* our end of the socket, and the worker's */
        int worker_fd;
        sd_event_source *source;
        Budget *budget; /* whose descriptors it closes, or NULL */
        int batch[BATCH_MAX];
        size_t n;
        bool old; /* it was at this batch when the workers were looked at before */
} Worker;

static struct {
        unsigned n_started;
        sd_event *event;
        sd_event_source *patience;
        bool impatient; /* that timer is for starting another worker */
        Shared *shared;
        Worker workers[WORKERS_MAX];
        size_t n_workers;
        pid_t janitor;
        Budget *queue, **queue_tail;
        Budget *anonymous; /* of descriptors that came without a budget */
        size_t n_pending;
} closer;

/* --- budgets --- */

Budget *budget_new(void) {
        Budget *b = calloc(1, sizeof(Budget));

        if (b)
                b->n_ref = 1;
        return b;
}

Budget *budget_ref(Budget *b) {
        if (b)
                b->n_ref++;
        return b;
}

Budget *budget_unref(Budget *b) {
        if (b && --b->n_ref == 0) {
                free(b->waiting);
                free(b);
        }
        return NULL;
}

static void budget_forget_fds(Budget *b, size_t n) {
        b->fds -= MIN(n, b->fds);
}

/* --- helpers; nothing here may allocate memory or use locks --- */

static pid_t helper_fork(void) {
        return (pid_t) syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
}

/* Has the kernel send a signal when the parent has died. Exits if that is too late. */
static void helper_init(pid_t parent, int signal_number, const char *name) {
        sigset_t all;

        (void) sigfillset(&all);
        (void) sigprocmask(SIG_SETMASK, &all, NULL);
        (void) prctl(PR_SET_NAME, name);
        (void) prctl(PR_SET_PDEATHSIG, signal_number);
        /* The janitor has work to do then. */
        if (getppid() != parent && signal_number == SIGKILL)
                _exit(EXIT_FAILURE);
}

static void on_alarm(_unused_ int signal_number) {
}

/* Has a signal come every millisecond, or none. It ends the wait for a socket to send its data, which goes on
 * alone. */
static void worker_set_alarm(bool on) {
        struct itimerval t = { .it_interval.tv_usec = on ? ALARM_USEC : 0, .it_value.tv_usec = on ? ALARM_USEC : 0 };

        (void) setitimer(ITIMER_REAL, &t, NULL);
}

_Noreturn static void worker_main(pid_t parent, int fd, size_t *progress, uint8_t *marks) {
        int batch[BATCH_MAX];
        sigset_t set;
        ssize_t n;

        helper_init(parent, SIGKILL, "pkramd-close");
        (void) sigaction(SIGALRM, &(struct sigaction) { .sa_handler = on_alarm }, NULL);
        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGALRM);
        (void) sigprocmask(SIG_UNBLOCK, &set, NULL);

        for (;;) {
                n = recv(fd, batch, sizeof(batch), 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        _exit(EXIT_SUCCESS);

                worker_set_alarm(true);
                for (size_t i = 0; i < (size_t) n / sizeof(int); i++) {
                        __atomic_store_n(progress, i + 1, __ATOMIC_SEQ_CST);
                        /* Before, since the number may be in use again as soon as it is closed. */
                        if ((unsigned) batch[i] < MARKS_MAX)
                                __atomic_store_n(marks + batch[i], CLOSER_OWN, __ATOMIC_SEQ_CST);
                        (void) close(batch[i]);
                }
                worker_set_alarm(false);
                while (send(fd, "", 1, MSG_NOSIGNAL) < 0 && errno == EINTR)
                        ;
        }
}

static void janitor_close_range(unsigned first, unsigned last) {
        if (syscall(SYS_close_range, first, last, 0) >= 0)
                return;
        for (unsigned fd = first; fd <= last && fd < MARKS_MAX; fd++)
                (void) close((int) fd);
}

static void janitor_close_all(const uint8_t *marks) {
        /* Sessions of the device, so that no client finds a node busy. */
        for (unsigned begin = 0, end; begin < MARKS_MAX; begin = end + 1) {
                for (end = begin; end < MARKS_MAX && marks[end] == CLOSER_OWN; end++)
                        ;
                if (end > begin)
                        janitor_close_range(begin, end - 1);
        }
        /* Clients that wait for replies. */
        for (unsigned fd = 0; fd < MARKS_MAX; fd++)
                if (marks[fd] == CLOSER_CONNECTION)
                        (void) shutdown((int) fd, SHUT_RDWR);
        /* Any of these may take for ever. */
        for (unsigned fd = 0; fd < MARKS_MAX; fd++)
                if (marks[fd] != CLOSER_OWN)
                        (void) close((int) fd);
}

_Noreturn static void janitor_main(pid_t parent, const uint8_t *marks) {
        sigset_t set;

        helper_init(parent, SIGTERM, "pkramd-janitor");
        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);

        /* Others may send the signal, too. */
        while (getppid() == parent)
                (void) sigwaitinfo(&set, NULL);

        janitor_close_all(marks);
        _exit(EXIT_SUCCESS);
}

/* --- workers, seen from this process --- */

static void closer_kick(void);

static size_t worker_index(const Worker *w) {
        return (size_t) (w - closer.workers);
}

/* The worker has closed the first n descriptors of its batch, and will not close the others. */
static void worker_finish(Worker *w, size_t n) {
        Budget *b = TAKE_PTR(w->budget);

        if (!b)
                return;

        budget_forget_fds(b, n);
        closer.n_pending -= n;
        b->busy = false;
        for (size_t i = n; i < w->n; i++) {
                closer.n_pending--;
                (void) closer_close(b, w->batch[i]);
        }
        w->n = 0;

        if (b->n_waiting > 0 && !b->queued) {
                b->queued = true;
                b->next = NULL;
                *closer.queue_tail = budget_ref(b);
                closer.queue_tail = &b->next;
        }
        budget_unref(b);
}

static void worker_remove(Worker *w) {
        w->source = sd_event_source_disable_unref(w->source);
        w->fd = safe_close(w->fd);
        w->worker_fd = safe_close(w->worker_fd);
        w->pid = 0;
        closer.n_workers--;
}

/* Notices a worker that was killed. Its end of the socket is in our table, and tells nothing. */
static void worker_check(Worker *w) {
        if (w->pid == 0)
                return;
        if (waitpid(w->pid, NULL, WNOHANG) != w->pid) {
                /* An NFS server that does not answer is not waited for by a process that is killed. */
                if (w->old && !closer.impatient)
                        (void) kill(w->pid, SIGKILL);
                w->old = w->budget;
                return;
        }

        /* The descriptor that it was closing may be closed or not, and its number in use again: leave that one
         * alone. */
        size_t begun = __atomic_load_n(&closer.shared->progress[worker_index(w)], __ATOMIC_SEQ_CST);
        worker_remove(w);
        worker_finish(w, MIN(begun, w->n));
}

static bool worker_receive(Worker *w) {
        char c;

        if (recv(w->fd, &c, sizeof(c), MSG_DONTWAIT) != 1)
                return false;
        worker_finish(w, w->n);
        return true;
}

/* Ends a worker that has nothing to do. */
static void worker_end(Worker *w) {
        (void) kill(w->pid, SIGKILL);
        (void) waitpid(w->pid, NULL, 0);
        worker_remove(w);
}

static int on_worker_done(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t revents,
                          void *userdata) {
        Worker *w = userdata;

        if (!worker_receive(w))
                return 0;
        closer_kick();

        /* One that waits for work is enough. */
        for (size_t i = 0; i < WORKERS_MAX && !w->budget; i++)
                if (closer.workers + i != w && closer.workers[i].pid != 0 && !closer.workers[i].budget) {
                        worker_end(w);
                        break;
                }
        return 0;
}

static int worker_start(void) {
        _cleanup_close_ int ours = -EBADF, theirs = -EBADF;
        Worker *w = NULL;
        int fds[2], r;
        pid_t parent = getpid(), pid;

        for (size_t i = 0; i < WORKERS_MAX && !w; i++)
                if (closer.workers[i].pid == 0)
                        w = closer.workers + i;
        if (!w)
                return -EBUSY;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        ours = fds[0];
        theirs = fds[1];

        closer.shared->progress[worker_index(w)] = 0;
        pid = helper_fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                worker_main(parent, theirs, closer.shared->progress + worker_index(w), closer.shared->marks);

        *w = (Worker) { .pid = pid, .fd = TAKE_FD(ours), .worker_fd = TAKE_FD(theirs) };
        closer.n_workers++;
        r = sd_event_add_io(closer.event, &w->source, w->fd, EPOLLIN, on_worker_done, w);
        if (r < 0) {
                worker_end(w);
                return r;
        }
        return 0;
}

/* Hands the descriptors of the first budget in the queue to an idle worker. */
static void worker_give(Worker *w) {
        Budget *b = closer.queue;
        size_t n = MIN(b->n_waiting, (size_t) BATCH_MAX);

        closer.queue = b->next;
        if (!closer.queue)
                closer.queue_tail = &closer.queue;
        b->queued = false;

        /* The last ones, so that the others need not be moved. */
        b->n_waiting -= n;
        memcpy(w->batch, b->waiting + b->n_waiting, n * sizeof(int));
        w->n = n;
        w->old = false;
        w->budget = b; /* with the reference of the queue */
        b->busy = true;
        __atomic_store_n(&closer.shared->progress[worker_index(w)], (size_t) 0, __ATOMIC_SEQ_CST);

        /* There is room, since the worker has answered what it was told before. */
        if (send(w->fd, w->batch, n * sizeof(int), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
                worker_end(w);
                worker_finish(w, 0);
        }
}

static Worker *worker_find_idle(void) {
        for (size_t i = 0; i < WORKERS_MAX; i++)
                if (closer.workers[i].pid != 0 && !closer.workers[i].budget)
                        return closer.workers + i;
        return NULL;
}

/* Closes a descriptor here and now. */
static void closer_close_now(Budget *b, int fd) {
        closer_mark(fd, CLOSER_OWN);
        (void) close(fd);
        if (b)
                budget_forget_fds(b, 1);
}

/* Closes what cannot wait for anything but the processor: files in memory. */
static void closer_close_memory(Budget *b) {
        size_t n = 0;

        for (size_t i = 0; i < b->n_waiting; i++)
                if (fcntl(b->waiting[i], F_GET_SEALS) >= 0) {
                        closer_close_now(b, b->waiting[i]);
                        closer.n_pending--;
                } else
                        b->waiting[n++] = b->waiting[i];
        b->n_waiting = n;
}

static int on_patience(_unused_ sd_event_source *source, _unused_ uint64_t usec, _unused_ void *userdata) {
        for (size_t i = 0; i < WORKERS_MAX; i++)
                worker_check(closer.workers + i);

        if (closer.queue && !worker_find_idle() && worker_start() < 0)
                for (Budget *b = closer.queue; b; b = b->next)
                        closer_close_memory(b);
        closer_kick();
        return 0;
}

/* Assigns the waiting work to workers. If all of them are busy, another one is started before long. */
static void closer_kick(void) {
        Worker *w;

        while (closer.queue && (w = worker_find_idle()))
                worker_give(w);

        if (closer.n_pending == 0) {
                (void) sd_event_source_set_enabled(closer.patience, SD_EVENT_OFF);
                return;
        }

        bool impatient = closer.queue && closer.n_workers < WORKERS_MAX;
        int enabled = SD_EVENT_OFF;
        (void) sd_event_source_get_enabled(closer.patience, &enabled);
        if (enabled != SD_EVENT_OFF && (closer.impatient || !impatient))
                return;
        closer.impatient = impatient;
        (void) sd_event_source_set_time_relative(closer.patience, impatient ? PATIENCE_USEC : STUCK_USEC);
        (void) sd_event_source_set_enabled(closer.patience, SD_EVENT_ONESHOT);
}

/* --- the interface --- */

static int closer_init(sd_event *event) {
        pid_t parent = getpid();
        int r;

        closer.event = sd_event_ref(event);
        closer.queue_tail = &closer.queue;

        closer.anonymous = budget_new();
        if (!closer.anonymous)
                return -ENOMEM;

        closer.shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                             -1, 0);
        if (closer.shared == MAP_FAILED) {
                closer.shared = NULL;
                return -errno;
        }

        r = sd_event_add_time_relative(event, &closer.patience, CLOCK_MONOTONIC, 0, /* accuracy= */ 1, on_patience,
                                       NULL);
        if (r >= 0)
                r = sd_event_source_set_enabled(closer.patience, SD_EVENT_OFF);
        if (r < 0)
                return r;

        closer.janitor = helper_fork();
        if (closer.janitor < 0) {
                closer.janitor = 0;
                return -errno;
        }
        if (closer.janitor == 0)
                janitor_main(parent, closer.shared->marks);

        return worker_start();
}

static void closer_reset(void) {
        for (size_t i = 0; i < WORKERS_MAX; i++) {
                pid_t pid = closer.workers[i].pid;

                if (pid == 0)
                        continue;
                /* A worker that is stuck stays behind, with what it closes. */
                (void) kill(pid, SIGKILL);
                if (!closer.workers[i].budget)
                        (void) waitpid(pid, NULL, 0);
                worker_remove(closer.workers + i);
                closer.workers[i].budget = budget_unref(closer.workers[i].budget);
        }
        /* The janitor closes what is left when this process has exited. */
        if (closer.janitor > 0 && closer.n_pending == 0) {
                (void) kill(closer.janitor, SIGKILL);
                (void) waitpid(closer.janitor, NULL, 0);
        }
        for (Budget *b = closer.queue, *next; b; b = next) {
                next = b->next;
                budget_unref(b);
        }
        budget_unref(closer.anonymous);
        sd_event_source_disable_unref(closer.patience);
        if (closer.shared)
                (void) munmap(closer.shared, sizeof(Shared));
        sd_event_unref(closer.event);
        memset(&closer, 0, sizeof(closer));
}

int closer_start(sd_event *event) {
        int r;

        assert(event);

        if (closer.n_started > 0) {
                closer.n_started++;
                return 0;
        }

        r = closer_init(event);
        if (r < 0) {
                closer_reset();
                return r;
        }
        closer.n_started = 1;
        return 0;
}

void closer_stop(void) {
        if (closer.n_started == 0 || --closer.n_started > 0)
                return;

        /* Usually this takes no time. */
        for (unsigned n = 0; n < 100 && closer.n_pending > 0; n++) {
                for (size_t i = 0; i < WORKERS_MAX; i++)
                        if (closer.workers[i].budget && !worker_receive(closer.workers + i))
                                (void) usleep(1000);
                closer_kick();
        }
        closer_reset();
}

void closer_mark(int fd, CloserMark mark) {
        if (closer.shared && fd >= 0 && (unsigned) fd < MARKS_MAX)
                closer.shared->marks[fd] = mark;
}

/* Adds a descriptor to those that wait. */
static void closer_add(Budget *b, int fd) {
        /* Retrieve may open files faster than a worker closes them, and those are in memory. */
        if (b->n_waiting >= WAITING_MAX && fcntl(fd, F_GET_SEALS) >= 0) {
                closer_close_now(b, fd);
                return;
        }

        if (GREEDY_REALLOC(b->waiting, b->waiting_allocated, b->n_waiting + 1) < 0) {
                closer_close_now(b, fd);
                return;
        }

        b->waiting[b->n_waiting++] = fd;
        closer.n_pending++;
        if (b->queued || b->busy)
                return;
        b->queued = true;
        b->next = NULL;
        *closer.queue_tail = budget_ref(b);
        closer.queue_tail = &b->next;
}

void closer_close_many(Budget *budget, int *fds, size_t n) {
        int e = errno;

        for (size_t i = 0; i < n; i++) {
                int fd = TAKE_FD(fds[i]);

                if (fd < 0)
                        continue;
                if (closer.n_started > 0)
                        closer_add(budget ?: closer.anonymous, fd);
                else
                        closer_close_now(budget, fd);
        }
        if (closer.n_started > 0)
                closer_kick();
        errno = e;
}

int closer_close(Budget *budget, int fd) {
        closer_close_many(budget, &fd, 1);
        return -EBADF;
}

size_t closer_pending(void) {
        return closer.n_pending;
}
