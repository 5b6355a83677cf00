#!/bin/bash
# Stands for a tool that is not on this machine: says so, in a way that gpu.sh understands.
echo "what this rung runs is not on this machine"
exit 77
