/**
 * The keeper: a small shell between node and the guest kernel, on the host. When node ends, for whatever
 * reason, file descriptor 3 closes and the keeper kills the kernel's whole process group and
 * removes its directory. (Node cannot request a signal on its parent's death.)
 *
 * Arguments: the guest's private directory, then the kernel and its arguments. It exits with the
 * kernel's status. A line or end of file on descriptor 3 kills the guest.
 */
export const KEEPER = `
run=$1
shift
ulimit -c 0
# A session of its own, so that one signal reaches all of the kernel's processes, and none other.
setsid "$@" 3<&- &
kernel=$!
echo $kernel >"$run/kernel.pid"
# Its messages would go to a node that may be gone, and kill this shell before its work is done.
exec >/dev/null 2>&1
(
  read -r line <&3
  kill -KILL -$kernel
  kill -KILL $kernel
) &
watch=$!
wait $kernel
status=$?
kill -KILL $watch
kill -KILL -$kernel
rm -rf "$run"
exit $status
`;
