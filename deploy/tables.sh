# shellcheck shell=bash
# Tables of interleaved rounds. A series is a file of one number a round, SERIES.series in $work.
# Sourced by compare.sh, redisbench.sh and lists.sh, after servers.sh, which sets $work.
# shellcheck disable=SC2154

median() { sort -g | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# row TITLE SERIES FORMAT: a line of the table, with the median and each round.
row() {
	awk -v title="$1" -v median="$(median <"$work/$2.series")" -v f="$3" '
		{ all = all (NR > 1 ? " " : "") sprintf(f, $1) }
		END { printf "| %s | " f " | %s |\n", title, median, all }' "$work/$2.series"
}

# ratio TITLE A B: a line with the median of A/B, taken round by round.
ratio() {
	paste "$work/$2.series" "$work/$3.series" | awk '{ print ($2 > 0 ? $1 / $2 : 0) }' >"$work/ratio.series"
	row "$1" ratio "%.2f"
}
