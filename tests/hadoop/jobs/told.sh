#!/bin/sh
# What a task is told, whatever its input.
cat >/dev/null
for name in mapreduce_job_reduces mapreduce_job_name my_own_setting mapred_task_is_map mapreduce_task_ismap GREETING \
  stream_map_streamprocessor mapreduce_input_fileinputformat_numinputfiles mapred_task_partition; do
  eval "echo \"$name=\$$name\""
done
echo "job=$(echo "$mapreduce_job_id" | sed 's/_.*//') task=${mapreduce_task_id##*_m_} attempt=${mapred_task_id##*_m_}"
