/* Progress for people: see progress.h. */
#include "client/command/progress.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "client/file.h"

enum { BAR_COLUMNS = 32 };

void progress_init(progress_view *v, FILE *to, const char *preview)
{
    *v = (progress_view){.to = to,
                         .terminal = to && isatty(fileno(to)),
                         .preview = preview,
                         .tenths = -1,
                         .state = OVERPAINT_QUEUED};
}

void progress_clear(progress_view *v)
{
    if (v->bar)
        fputs("\r\033[K", v->to);
    v->bar = false;
}

void progress_line(progress_view *v, const char *format, ...)
{
    if (!v->to)
        return;
    progress_clear(v);
    va_list args;
    va_start(args, format);
    vfprintf(v->to, format, args);
    va_end(args);
    fputc('\n', v->to);
    fflush(v->to);
}

static void show_bar(progress_view *v, const overpaint_progress *p)
{
    static const char full[] = "################################",
                      none[] = "................................";
    const unsigned done = p->evaluations ? BAR_COLUMNS * p->evaluations_done / p->evaluations : 0;
    const int filled = done > BAR_COLUMNS ? BAR_COLUMNS : (int)done;
    fprintf(v->to, "\r[%.*s%.*s] %u/%u steps", filled, full, BAR_COLUMNS - filled, none,
            p->steps_done, p->steps);
    if (p->eta_seconds >= 0 && p->eta_seconds < 360000)
        fprintf(v->to, ", %d:%02d left", (int)p->eta_seconds / 60, (int)p->eta_seconds % 60);
    fputs("\033[K", v->to);
    fflush(v->to);
    v->bar = true;
}

static void show_queued(progress_view *v, const overpaint_progress *p)
{
    if (v->tenths >= 0 && v->position == p->position && v->state == OVERPAINT_QUEUED)
        return;
    v->tenths = 0;
    v->position = p->position;
    if (!v->terminal) {
        progress_line(v, "queued, %u ahead", p->position);
        return;
    }
    fprintf(v->to, "\rqueued, %u ahead\033[K", p->position);
    fflush(v->to);
    v->bar = true;
}

static void show_running(progress_view *v, const overpaint_progress *p)
{
    const int tenths = p->steps ? (int)(10ULL * p->steps_done / p->steps) : 0;
    if (v->terminal)
        show_bar(v, p);
    else if (v->state != OVERPAINT_RUNNING || tenths > v->tenths)
        progress_line(v, "running, step %u of %u", p->steps_done, p->steps);
    v->tenths = tenths;
}

static void keep_preview(progress_view *v, const overpaint_progress *p)
{
    err e = {0};
    if (v->preview && p->preview && file_write(v->preview, p->preview, p->preview_size, &e)) {
        progress_line(v, "no more previews: %s", e.text);
        v->preview = NULL;
    }
}

void progress_show(void *arg, const overpaint_progress *p)
{
    progress_view *v = arg;
    keep_preview(v, p);
    v->ended |= p->state > OVERPAINT_RUNNING;
    if (v->to && p->state == OVERPAINT_QUEUED)
        show_queued(v, p);
    else if (v->to && p->state == OVERPAINT_RUNNING && p->steps)
        show_running(v, p);
    else if (v->to && v->ended)
        progress_clear(v);
    if (p->state != OVERPAINT_RUNNING || p->steps)
        v->state = p->state;
}
