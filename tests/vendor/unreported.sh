#!/bin/bash
# Runs a command on the emulated GPU: unreported.sh COMMAND ARGUMENT... It fails when the command
# does, and when a stand-in has reported a broken rule.
reports=$(mktemp)
trap 'rm -f "$reports"' EXIT
OVERPAINT_BACKEND=cuemu OVERPAINT_VENDOR_REPORTS=$reports "$@"
status=$?
if [ -s "$reports" ]; then
    echo "broken rules:"
    sort "$reports" | uniq -c | head -n 20
    exit 1
fi
exit $status
