/* Sockets and endpoints: what may be bound or connected, with which limits. */
#include "proto/wire.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The longest path of a socket, and the last port. */
enum { PATH_MOST = sizeof((struct sockaddr_un *)0)->sun_path - 1, PORT_MOST = 65535 };
enum { ADDRESS_MAX = PATH_MOST + 32 };

static const char ipc_scheme[] = "ipc://", tcp_scheme[] = "tcp://", worker_suffix[] = ".worker";

static bool starts_with(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

bool wire_is_local(const char *endpoint)
{
    return starts_with(endpoint, ipc_scheme);
}

/* "tcp://HOST:PORT" with a loopback host; the port, or -1. */
static int loopback_port(const char *endpoint)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]"};
    const char *host = endpoint + strlen(tcp_scheme), *colon = strrchr(host, ':');
    if (!colon)
        return -1;
    char *end;
    long port = strtol(colon + 1, &end, 10);
    if (*end || end - colon > 6 || !isdigit((unsigned char)colon[1]) || port < 1 ||
        port > PORT_MOST)
        return -1;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (strlen(hosts[i]) == (size_t)(colon - host) &&
            !strncmp(host, hosts[i], (size_t)(colon - host)))
            return (int)port;
    return -1;
}

/* What can be bound or connected: also a worker endpoint, which no longer needs room for a suffix.
 */
static int check_address(const char *endpoint, size_t most, err *e)
{
    if (wire_is_local(endpoint)) {
        const char *path = endpoint + strlen(ipc_scheme);
        if (path[0] != '/')
            return err_set(e, ERR_INVALID, "endpoint %s: expected an absolute path after ipc://",
                           endpoint);
        if (strlen(path) > most)
            return err_set(e, ERR_INVALID,
                           "endpoint %s: the path has %zu bytes, a socket's path may have %zu",
                           endpoint, strlen(path), most);
        return 0;
    }
    if (starts_with(endpoint, tcp_scheme) && loopback_port(endpoint) > 0)
        return 0;
    return err_set(
        e, ERR_INVALID,
        "endpoint %s: expected ipc:///PATH or tcp://HOST:PORT with a loopback host "
        "(127.0.0.1, localhost, [::1]); other addresses need encryption, which is not there yet",
        endpoint);
}

int wire_check_endpoint(const char *endpoint, err *e)
{
    int rc = check_address(endpoint, PATH_MOST - strlen(worker_suffix), e);
    if (!rc && !wire_is_local(endpoint) && loopback_port(endpoint) == PORT_MOST)
        rc = err_set(e, ERR_INVALID, "endpoint %s: port %d leaves none for the workers", endpoint,
                     PORT_MOST);
    return rc;
}

/* "localhost" is a name that bind does not look up and connect may find as ::1. */
static void resolve(const char *endpoint, char *to, size_t size)
{
    static const char name[] = "tcp://localhost:";
    if (starts_with(endpoint, name))
        snprintf(to, size, "tcp://127.0.0.1:%s", endpoint + strlen(name));
    else
        snprintf(to, size, "%s", endpoint);
}

int wire_worker_endpoint(const char *endpoint, char *to, size_t size, err *e)
{
    int rc = wire_check_endpoint(endpoint, e), n;
    if (rc)
        return rc;
    if (wire_is_local(endpoint)) {
        n = snprintf(to, size, "%s%s", endpoint, worker_suffix);
    } else {
        const char *colon = strrchr(endpoint, ':');
        n = snprintf(to, size, "%.*s:%d", (int)(colon - endpoint), endpoint,
                     loopback_port(endpoint) + 1);
    }
    if (n < 0 || (size_t)n >= size)
        return err_set(e, ERR_INVALID, "endpoint %s is too long", endpoint);
    return 0;
}

int wire_default_endpoint(const char *runtime_dir, char *to, size_t size, err *e)
{
    char folder[256];
    struct stat st;
    int n = runtime_dir && runtime_dir[0] == '/'
                ? snprintf(folder, sizeof folder, "%s/overpaint", runtime_dir)
                : snprintf(folder, sizeof folder, "/tmp/overpaint-%u", (unsigned)getuid());
    if (n < 0 || (size_t)n >= sizeof folder)
        return err_set(e, ERR_INVALID, "XDG_RUNTIME_DIR is %zu bytes long", strlen(runtime_dir));
    if (mkdir(folder, 0700) && errno != EEXIST)
        return err_set(e, ERR_IO, "cannot make the folder %s: %s", folder, strerror(errno));
    if (lstat(folder, &st) || !S_ISDIR(st.st_mode) || st.st_uid != getuid() || (st.st_mode & 077))
        return err_set(e, ERR_IO,
                       "%s is not a private folder of this user; name another --endpoint", folder);
    n = snprintf(to, size, "ipc://%s/broker", folder);
    if (n < 0 || (size_t)n >= size)
        return err_set(e, ERR_INVALID, "endpoint below %s is too long", folder);
    return wire_check_endpoint(to, e);
}

/* Takes `<path>.lock`; the descriptor holds it until it is closed or the process ends. */
static int take_lock(const char *endpoint, int *lock, err *e)
{
    char path[ADDRESS_MAX];
    snprintf(path, sizeof path, "%s.lock", endpoint + strlen(ipc_scheme));
    *lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (*lock < 0)
        return err_set(e, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB)) {
        close(*lock);
        *lock = -1;
        return err_set(e, ERR_CONFLICT, "%s is held by another broker; choose another --endpoint",
                       endpoint);
    }
    return 0;
}

static void set_int(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

static void *new_socket(void *context, int type, err *e)
{
    void *socket = zmq_socket(context, type);
    if (!socket) {
        err_set(e, ERR_IO, "cannot make a socket: %s", zmq_strerror(errno));
        return NULL;
    }
    const int64_t most = WIRE_MESSAGE_MAX;
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
    set_int(socket, ZMQ_SNDHWM, WIRE_HIGH_WATER);
    set_int(socket, ZMQ_RCVHWM, WIRE_HIGH_WATER);
    set_int(socket, ZMQ_LINGER, 0);
    set_int(socket, ZMQ_IPV6, 1);
    /* No ZMQ_HEARTBEAT_*: in libzmq 4.3.4 its timer aborts the process when it fires for a peer
     * that left while our receive queue was full. HELLO and HEARTBEAT messages tell who is alive.
     */
    set_int(socket, ZMQ_HANDSHAKE_IVL, WIRE_LOST_MS);
    if (type == ZMQ_ROUTER)
        set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
    else
        set_int(socket, ZMQ_RECONNECT_IVL_MAX, 2000);
    return socket;
}

void *wire_bind(void *context, const char *endpoint, int *lock, err *e)
{
    *lock = -1;
    char address[ADDRESS_MAX];
    if (check_address(endpoint, PATH_MOST, e))
        return NULL;
    resolve(endpoint, address, sizeof address);
    if (wire_is_local(endpoint) && take_lock(endpoint, lock, e))
        return NULL;
    void *socket = new_socket(context, ZMQ_ROUTER, e);
    if (socket && zmq_bind(socket, address)) {
        err_set(e, ERR_IO, "cannot bind %s: %s", endpoint, zmq_strerror(errno));
        zmq_close(socket);
        socket = NULL;
    }
    if (!socket && *lock >= 0) {
        close(*lock);
        *lock = -1;
    }
    return socket;
}

void wire_unbind(const char *endpoint, int lock)
{
    if (lock < 0)
        return;
    if (wire_is_local(endpoint))
        unlink(endpoint + strlen(ipc_scheme));
    close(lock);
}

void *wire_connect(void *context, const char *endpoint, err *e)
{
    char address[ADDRESS_MAX];
    if (check_address(endpoint, PATH_MOST, e))
        return NULL;
    resolve(endpoint, address, sizeof address);
    void *socket = new_socket(context, ZMQ_DEALER, e);
    if (socket && zmq_connect(socket, address)) {
        err_set(e, ERR_IO, "cannot connect to %s: %s", endpoint, zmq_strerror(errno));
        zmq_close(socket);
        socket = NULL;
    }
    return socket;
}
