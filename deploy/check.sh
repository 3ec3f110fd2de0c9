#!/bin/sh
# All that can be checked of deploy/ on this machine; what cannot be is named, with its reason. `make deploy-check`.
#   --no-build: leaves out the image's steps, which take minutes and a gigabyte and a half
set -u
cd "$(dirname "$0")/.."
bin=${BIN:-.venv/bin}
failed=0 skipped=""
PATH=$PATH:/usr/sbin
lacks() { skipped="$skipped
  not run: $1 ($2)"; }
step() {
  echo "== $1"; shift
  "$@" || failed=1
}

command -v nginx >/dev/null || lacks "streams behind nginx" "no nginx: apt-get install nginx-light"
command -v haproxy >/dev/null || lacks "streams behind HAProxy" "no haproxy: apt-get install haproxy"
command -v kubectl >/dev/null || lacks "the overlays of Kubernetes" "no kubectl"
command -v envoy >/dev/null || lacks "streams behind Envoy" "no envoy, and no configuration for it yet"
lacks "custom resources (HTTPRoute, KEDA, Prometheus) against their schemas" "those are not in a package; our own rules are checked"
lacks "a GPU, RayService" "no configuration for Ray yet, and no GPU is asked for"

step "roles: readiness and drain" "$bin/pytest" -q tests/test_drain.py tests/test_roles.py
step "the image's scripts and compose" "$bin/pytest" -q tests/test_image.py
step "nginx and HAProxy in front of two gateways" "$bin/pytest" -q tests/test_edge.py
step "Kubernetes" "$bin/pytest" -q tests/test_kubernetes.py
step "layout, users and backup of Redis" "$bin/pytest" -q tests/test_layout_version.py tests/test_redis_users.py

if [ "${1:-}" = --no-build ]; then
  lacks "the image's steps" "--no-build"
else
  folder=$(mktemp -d)
  step "the image's steps, without a container" deploy/build.sh "$folder/venv"
  [ -d "$folder/venv" ] && echo "   $(du -sm "$folder/venv" | cut -f1) MB"
  if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    chmod 755 "$folder"
    install -d -o 10001 -g 10001 -m 0700 "$folder/home"
    step "it answers as a user that may write its home only" setpriv --reuid 10001 --regid 10001 --clear-groups \
      env -i PATH="$folder/venv/bin:$PATH" HOME="$folder/home" POINTSMAN_HOME="$folder/home" PYTHONDONTWRITEBYTECODE=1 \
      sh -c 'cd "$HOME" && pointsman run "what is 6 times 7?" --json | grep -q 42'
  else
    lacks "the image as another user" "it takes root to become one"
  fi
  rm -rf "$folder"
fi
if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
  step "docker build" docker build -q -f deploy/Dockerfile --target cpu .
else
  lacks "docker build, docker compose up" "no container engine answers here"
fi

[ -z "$skipped" ] || echo "$skipped"
[ "$failed" -eq 0 ] && echo "all that could be checked is right" || echo "something is wrong; see above"
exit "$failed"
