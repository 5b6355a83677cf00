/* Mutants: what the module tells the vendor's libraries, and its calls, wrong at one place. A test
 * that has one thing wrong at a time learns what it would not see. */
#include "tests/vendor/machine.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>

using namespace vendor;

namespace {
struct mutants {
    std::mutex lock;
    vendor_chooser *choose;
    std::map<std::string, long> alike; /* how many of each name there have been */
};
} // namespace

static mutants &all()
{
    static mutants *m = new mutants();
    return *m;
}

/* Whether this place is to be wrong. It is called by its name and a number: the how many-th it is.
 */
__attribute__((format(printf, 2, 3))) static bool is_it(const char *same, const char *format, ...)
{
    mutants &m = all();
    std::lock_guard<std::mutex> hold(m.lock);
    if (!m.choose)
        return false;
    char name[120], place[140];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    snprintf(place, sizeof place, "%s #%ld", name, ++m.alike[name]);
    return m.choose(place, same);
}

enum { VECTOR = 16 };

/* Another value that could have been meant: sizes by a vector, small numbers by one. */
template <class T> static T other(T v)
{
    return v > VECTOR ? v + VECTOR : v + 1;
}

/* Half of them; of a few, none. */
static size_t less(size_t bytes)
{
    return bytes > VECTOR ? bytes / 2 : 0;
}

template <class T> static T at(const void *values, int64_t i)
{
    T v;
    memcpy(&v, (const char *)values + (size_t)i * sizeof v, sizeof v);
    return v;
}

template <class T> static void put(void *values, int64_t i, T v)
{
    memcpy((char *)values + (size_t)i * sizeof v, &v, sizeof v);
}

static void change(vendor_value kind, void *values, int64_t i)
{
    switch (kind) {
    case VENDOR_INT32: put(values, i, other(at<int32_t>(values, i))); break;
    case VENDOR_INT64: put(values, i, other(at<int64_t>(values, i))); break;
    case VENDOR_FLOAT: put(values, i, at<float>(values, i) + 0.5f); break;
    case VENDOR_FLAG: put(values, i, (unsigned char)!at<unsigned char>(values, i)); break;
    case VENDOR_NAME: put(values, i, at<int32_t>(values, i) ^ 1); break;
    case VENDOR_PLACE: put(values, i, at<char *>(values, i) + VECTOR); break;
    case VENDOR_FILL: put(values, i, at<int32_t>(values, i) ^ 0x3c); break;
    case VENDOR_BYTES: put(values, i, less(at<size_t>(values, i))); break;
    }
}

void vendor_told_some(const char *what, int name, vendor_value kind, void *values, int64_t count,
                      const char *const *same)
{
    for (int64_t i = 0; i < count; i++)
        if (is_it(same ? same[i] : nullptr, "%s %d[%d]", what, name, (int)i))
            change(kind, values, i);
}

void vendor_told(const char *what, int name, vendor_value kind, void *values, int64_t count)
{
    vendor_told_some(what, name, kind, values, count, nullptr);
}

void vendor_unread(const char *what, int name, const char *why)
{
    is_it(why, "%s %d[0]", what, name);
}

bool vendor_drops(const char *what, int name)
{
    return name ? is_it(nullptr, "%s %d not done", what, name)
                : is_it(nullptr, "%s not done", what);
}

void vendor_mutate(vendor_chooser *choose)
{
    mutants &m = all();
    std::lock_guard<std::mutex> hold(m.lock);
    m.choose = choose;
    m.alike.clear();
}
