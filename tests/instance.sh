#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A server of one's own: token, database, certificates, sockets, log and PINs,
# all in one directory.  "./dev up" and "./dev down" are this script; the
# integration tests use it too.
#
#   instance.sh up DIR [--token softhsm|softokn] [--workers N] [--conf LINE]...
#   instance.sh down DIR
#
# The programs are those of $JOINERY_BUILDDIR, else of build/.  What a caller
# needs stands in DIR/env afterwards, for "." of a shell.
set -euo pipefail
umask 077

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${JOINERY_BUILDDIR:-$top/build}
start_seconds=30
stop_seconds=15

die()
{
	echo "instance: $*" >&2
	exit 1
}

# ---- names and places ----

# sockaddr_un holds 108 octets; a name with odd characters would have to be
# quoted differently in joinery.conf, in a PKCS#11 URI and in the shell.
check_dir()
{
	case $dir in
	*[!A-Za-z0-9._/+-]*)
		die "$dir: only letters, digits and . _ + - may be in the path"
		;;
	esac
	if [[ $((${#dir} + ${#socket_name} + 1)) -gt 107 ]]; then
		die "$dir: too long for a Unix socket (107 octets with /$socket_name)"
	fi
}

socket_name=joinery.sock

# The pid of the instance in DIR if it runs.
running()
{
	local pid
	pid=$(cat "$dir/joineryd.pid" 2>/dev/null) || return 1
	[[ $pid =~ ^[0-9]+$ ]] || return 1
	# The number may have gone to another process since.
	tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" |
		grep -xF "$dir/joinery.conf" >/dev/null || return 1
	echo "$pid"
}

# A zombie that nobody collects has ended too.
alive()
{
	grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null
}

first_file()
{
	local f
	for f in "$@"; do
		if [[ -f $f ]]; then
			echo "$f"
			return
		fi
	done
	die "none of these is installed: $*"
}

# Two TCP ports that nobody uses.
free_ports()
{
	python3 -c 'import socket
sockets = [socket.socket() for _ in range(2)]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in sockets])'
}

# ---- certificates ----

# certificate NAME SAN: NAME.pem and NAME.key, signed by the test CA.
certificate()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-days 30 -subj "/CN=$1" -addext "subjectAltName=$2" \
		-addext basicConstraints=CA:FALSE \
		-CA "$dir/ca.pem" -CAkey "$dir/ca.key" \
		-keyout "$dir/$1.key" -out "$dir/$1.pem" 2>>"$dir/openssl.log" ||
		die "openssl made no certificate: $(tail -n 3 "$dir/openssl.log")"
}

make_certificates()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-days 30 -subj '/CN=Joinery test CA' \
		-keyout "$dir/ca.key" -out "$dir/ca.pem" 2>"$dir/openssl.log" ||
		die "openssl made no CA: $(tail -n 3 "$dir/openssl.log")"
	certificate server 'DNS:localhost,IP:127.0.0.1'
	certificate ns DNS:ns.example.org
	certificate as DNS:as.example.org
}

# ---- the token ----

random_hex()
{
	openssl rand -hex "$1"
}

# Sets token_uri and init_args.
prepare_softhsm()
{
	local module
	module=$(first_file /usr/lib/softhsm/libsofthsm2.so \
		"/usr/lib/$(gcc -print-multiarch)/softhsm/libsofthsm2.so")
	mkdir -p "$dir/tokens"
	cat >"$dir/softhsm2.conf" <<-END
		directories.tokendir = $dir/tokens
		objectstore.backend = file
		log.level = ERROR
		slots.removable = false
	END
	export SOFTHSM2_CONF=$dir/softhsm2.conf
	token_uri="pkcs11:token=joinery?module-path=$module&pin-source=file:$dir/pin"
	init_args=
}

prepare_softokn()
{
	local module
	module=$(first_file "/usr/lib/$(gcc -print-multiarch)/libsoftokn3.so" \
		/usr/lib/libsoftokn3.so)
	mkdir -p "$dir/nss"
	echo >"$dir/so-pin" # NSS has a security officer without a PIN only
	token_uri="pkcs11:token=NSS%20Certificate%20DB?module-path=$module&pin-source=file:$dir/pin"
	init_args="configdir='sql:$dir/nss' certPrefix='' keyPrefix='' secmod='secmod.db' flags="
}

# ---- the configuration ----

write_conf()
{
	local line
	cat >"$dir/joinery.conf" <<-END
		socket = "$dir/$socket_name"
		socket-mode = 0600
		tls-listen = "127.0.0.1:$port"
		bi-listen = "127.0.0.1:$bi_port"
		tls-certificate = "$dir/server.pem"
		tls-key = "$dir/server.key"
		tls-client-ca = "$dir/ca.pem"
		token-uri = "$token_uri"
		token-init-args = "$init_args"
		worker-program = "$bin/joinery-worker"
		workers = $workers
		store = "$dir/store"
	END
	if [[ "${conf_lines[*]-}" != *store-max-size* ]]; then
		echo "store-max-size = 1024" >>"$dir/joinery.conf"
	fi
	for line in "${conf_lines[@]}"; do
		printf '%s\n' "$line" >>"$dir/joinery.conf"
	done
}

# put NAME VALUE: a line of DIR/env.
put()
{
	printf 'export %s=%q\n' "$1" "$2"
}

write_env()
{
	{
		put JOINERY_DIR "$dir"
		put JOINERY_CONF "$dir/joinery.conf"
		put JOINERY_LOG "$dir/joineryd.log"
		put JOINERY_SOCKET "$dir/$socket_name"
		put JOINERY_TCP "localhost:$port"
		put JOINERY_BI_URL "https://localhost:$bi_port/"
		put JOINERY_CA "$dir/ca.pem"
		put JOINERY_NS_CERT "$dir/ns.pem"
		put JOINERY_NS_KEY "$dir/ns.key"
		put JOINERY_AS_CERT "$dir/as.pem"
		put JOINERY_AS_KEY "$dir/as.key"
		put JOINERY_NS_KEK "$dir/ns-kek.hex"
		put JOINERY_AS_KEK "$dir/as-kek.hex"
		put JOINERY_CTL "$bin/joineryctl --socket $dir/$socket_name"
		put JOINERY_SIM "$bin/joinery-sim"
		if [[ $token == softhsm ]]; then
			put SOFTHSM2_CONF "$SOFTHSM2_CONF"
		fi
	} >"$dir/env"
}

# ---- up ----

ctl()
{
	"$bin/joineryctl" --socket "$dir/$socket_name" "$@" </dev/null
}

start_server()
{
	local pid deadline=$((SECONDS + start_seconds))
	# A session of its own: ^C at a terminal is not for the server.
	setsid "$bin/joineryd" -c "$dir/joinery.conf" \
		</dev/null >>"$dir/joineryd.log" 2>&1 &
	pid=$!
	echo "$pid" >"$dir/joineryd.pid"
	until ctl --timeout 2000 ping >/dev/null 2>&1; do
		if ! alive "$pid"; then
			tail -n 20 "$dir/joineryd.log" >&2
			die "joineryd ended at once ($dir/joineryd.log)"
		fi
		if [[ $SECONDS -ge $deadline ]]; then
			tail -n 20 "$dir/joineryd.log" >&2
			stop_server "$pid"
			die "joineryd gave no answer in $start_seconds s ($dir/joineryd.log)"
		fi
		sleep 0.1
	done
}

init_token()
{
	"$bin/joinery-worker" token-init --config "$dir/joinery.conf" --create \
		--so-pin-source "file:$dir/so-pin" </dev/null \
		>"$dir/token-init.log" 2>&1 ||
		die "the token could not be made: $(tail -n 5 "$dir/token-init.log")"
}

register_peers()
{
	local who
	for who in ns as; do
		random_hex 16 >"$dir/$who-kek.hex"
		ctl kek import "$who-kek" --key "@$dir/$who-kek.hex" >/dev/null
	done
	ctl peer set ns --role ns --net-id 000013 --cert-san ns.example.org \
		--kek ns-kek >/dev/null
	ctl peer set as --role as --as-id as.example.org \
		--cert-san as.example.org --kek as-kek >/dev/null
}

# The options of up, into token, workers and conf_lines.
read_options()
{
	token=softhsm
	workers=2
	conf_lines=()
	while [[ $# -gt 0 ]]; do
		[[ $# -ge 2 ]] || die "$1 needs a value"
		case $1 in
		--token) token=$2 ;;
		--workers) workers=$2 ;;
		--conf) conf_lines+=("$2") ;;
		*) die "unknown option: $1" ;;
		esac
		shift 2
	done
	[[ $token == softhsm || $token == softokn ]] ||
		die "--token takes softhsm or softokn, not $token"
	[[ $workers =~ ^[0-9]+$ ]] || die "--workers takes a number, not $workers"
}

# What an instance left behind is not reused: its PINs would not fit.
make_dir()
{
	local pid program
	for program in joineryd joinery-worker joineryctl; do
		[[ -x $bin/$program ]] || die "$bin/$program: not built (./dev build)"
	done
	if pid=$(running); then
		die "$dir: an instance runs there already, pid $pid"
	fi
	if [[ -e $dir/joinery.conf ]]; then
		die "$dir: was used before; take another or remove it"
	fi
	mkdir -p "$dir/store"
}

up()
{
	read_options "$@"
	make_dir
	random_hex 16 >"$dir/pin"
	random_hex 16 >"$dir/so-pin"
	make_certificates
	"prepare_$token"
	read -r port bi_port < <(free_ports)
	write_conf
	write_env
	init_token
	start_server
	register_peers
}

# ---- down ----

stop_server()
{
	local pid=$1 deadline=$((SECONDS + stop_seconds))
	kill -TERM "$pid" 2>/dev/null || return 0
	while alive "$pid" && [[ $SECONDS -lt $deadline ]]; do
		sleep 0.1
	done
	if alive "$pid"; then
		kill -KILL -- "-$pid"
		echo "instance: had to be killed after $stop_seconds s" >&2
	fi
}

down()
{
	local pid
	if pid=$(running); then
		stop_server "$pid"
	fi
	rm -f "$dir/joineryd.pid"
}

# ---- which ----

if [[ $# -lt 2 || ! $1 =~ ^(up|down)$ ]]; then
	die "usage: up DIR [--token softhsm|softokn] [--workers N] [--conf LINE]... | down DIR"
fi
verb=$1
dir=$(realpath -m -- "$2")
shift 2
check_dir
"$verb" "$@"
