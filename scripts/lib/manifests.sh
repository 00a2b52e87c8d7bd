# shellcheck shell=bash
# Prints the repository's manifests for a namespace and an image, whole or by kind; common.sh must be sourced before.
# Knows just the spelling of our own files: it is no YAML parser.

# manifest FILE prints a file of the repository with $NAMESPACE and $IMAGE put in.
manifest() {
  awk -v namespace="$NAMESPACE" -v image="$IMAGE" '
    /^kind: / { kind = $2 }
    kind == "Namespace" && /^  name: keti$/ { sub(/keti$/, namespace) }
    /^ +namespace: keti$/ { sub(/keti$/, namespace) }
    /^ +(- )?image: ketidevit2\/keti-ai-storage-scheduler:latest$/ { sub(/image: .*/, "image: " image) }
    { print }' "$ROOT/$1"
}

# only KIND and without KIND pass on the documents of that kind, or all others, of the manifest on standard input.
only() { documents "$1" 1; }
without() { documents "$1" 0; }

documents() {
  awk -v kind="kind: $1" -v keep="$2" '
    function flush() { if (text != "" && is_kind == keep) { printf "%s%s", (n++ ? "---\n" : ""), text }; text = ""; is_kind = 0 }
    /^---$/ { flush(); next }
    $0 == kind { is_kind = 1 }
    { text = text $0 "\n" }
    END { flush() }'
}
