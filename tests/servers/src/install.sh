# Installs one of Debian's packages of servers, and lets it start none: sh -c THIS install PACKAGE
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

ours=
end() {
    # shellcheck disable=SC2086 # These are several, or none.
    [ -z "$ours" ] || rm -f $ours
}
trap end EXIT
trap 'exit 1' HUP INT TERM

policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    ours=$policy
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
clusters=/etc/postgresql-common/createcluster.d
if [ "$1" = postgresql ] && [ ! -e $clusters/tollgate.conf ]; then
    ours="$ours $clusters/tollgate.conf"
    mkdir -p $clusters
    echo 'create_main_cluster = false' >$clusters/tollgate.conf
fi

apt-get -q update >&2
apt-get -q install -y --no-install-recommends "$1" >&2
# Nor with the machine, the next time it starts.
if [ "$1" = redis-server ] && [ -d /run/systemd/system ]; then systemctl disable redis-server >&2; fi
