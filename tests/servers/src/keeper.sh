# Keeps one throw-away server: sh -c THIS keeper KIND PROGRAMS [ARGUMENT OF THE SERVER…]
#
# Standard input brings orders, a line each, and each is answered by a line. When the input ends, because
# who holds its other end is gone in whatever way, the server is stopped at once and its folder removed.

kind=$1
programs=$2
shift 2
# Whoever interrupts the tests does not end this before it has cleaned up, nor does an answer that nobody
# is there to read.
trap '' HUP INT PIPE TERM
export LC_ALL=C
server=

folder=$(mktemp -d "${TMPDIR:-/tmp}/tollgate-$kind.XXXXXX") || exit
# As Redis says it, which knows of no links on the way.
folder=$(cd "$folder" && pwd -P)
exec 2>>"$folder/log"

# Sets $state to the letter that the kernel has for this process, or to nothing where there is none.
look() {
    state=
    if read -r state <"/proc/$1/stat"; then
        state=${state##*) }
        state=${state%% *}
    fi
} 2>/dev/null

# Prints the server's children. No other program than grep is needed, and no group or session: each
# of Postgres's processes has its own.
children() {
    grep -ls "^PPid:[[:space:]]*$server\$" /proc/[0-9]*/status | cut -d / -f 3
}

# Stops the server, then its children: once it stands, there will be no more of them.
pause() {
    while kill -STOP "$server"; do
        look "$server"
        case $state in T | Z | '') break ;; esac
    done
    for child in $(children); do kill -STOP "$child"; done
}

resume() {
    for child in $(children); do kill -CONT "$child"; done
    kill -CONT "$server"
}

# Ends all of it as a crash does: no signal that could be handled, no goodbye to clients.
crash() {
    [ -n "$server" ] || return 0
    pause
    orphans=$(children)
    # shellcheck disable=SC2086 # These are several.
    kill -KILL "$server" $orphans
    wait "$server"
    for child in $orphans; do
        look "$child"
        while [ -n "$state" ] && [ "$state" != Z ]; do
            sleep 0.01
            look "$child"
        done
    done
    server=
}

as=
if [ "$kind" = postgres ]; then
    # It refuses to be run by root.
    if [ "$(id -u)" = 0 ]; then
        user=nobody
        if id postgres >/dev/null; then user=postgres; fi
        as="setpriv --reuid=$user --regid=$(id -g "$user") --clear-groups"
        chown "$user" "$folder"
    fi
    cd "$folder" || exit
    if ! $as "$programs/initdb" --pgdata="$folder/data" --no-sync --auth=trust --username=postgres \
        --locale=C.UTF-8 --encoding=UTF8 --no-instructions >>"$folder/log"; then
        kind=failed
    fi
    set -- "$programs/postgres" -D "$folder/data" -k "$folder/data" "$@" -p
else
    cd "$folder" || exit
    set -- "$programs" --dir "$folder" "$@" --port
fi
echo "$kind $folder"

while read -r order port; do
    case $order in
    start)
        crash
        $as "$@" "$port" </dev/null >>"$folder/log" 2>&1 &
        server=$!
        echo "$server"
        ;;
    pause) pause; echo paused ;;
    resume) resume; echo resumed ;;
    crash) crash; echo crashed ;;
    esac
done

crash
# What a Postgres that was killed leaves in the kernel: the seventh line has its key and its number.
if [ -f "$folder/data/postmaster.pid" ]; then
    shared=$(sed -n '7s/.* //p' "$folder/data/postmaster.pid")
    [ -z "$shared" ] || ipcrm -m "$shared"
fi
cd /
rm -rf "$folder"
