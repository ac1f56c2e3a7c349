// Package health says how a cluster is, from what the leaders of its groups report and what the placement
// wants: what is served, what is complete, and which node may fail.
//
// Nouns: Report (a group, as its leader sees it), Verdict (what follows from all of them).
//
// Callers: node gathers the reports, one of each group, and shows the Verdict; the simulation holds it against
// what is so. What has no report is not known, and counts as not well.
//
// It reads no clock, asks nobody and decides nothing that is done.
package health
