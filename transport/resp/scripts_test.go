package resp

import (
	"strings"
	"testing"

	"pxkv/node/kv"
)

// Every script that libraries send word for word is known by its SHA1 before anybody sends its text.
func TestScriptsOfLibrariesAreKnown(t *testing.T) {
	t.Parallel()
	if n := len(knownScripts().bySHA); n != len(published) {
		t.Errorf("%d SHA1s for %d texts", n, len(published))
	}
	for _, text := range published {
		if knownScripts().bySHA[shaOf(text)] == nil {
			t.Errorf("not known:\n%s", text)
		}
	}
}

func TestSpellingsOfOneScript(t *testing.T) {
	t.Parallel()
	want := knownScripts().find(redsyncDeleteOld)
	for _, text := range []string{
		`if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end`,
		"if redis.call('GET',KEYS[1])==ARGV[1]\r\nthen\r\n  return redis.call('Del' , KEYS [1]);\nelse return 0; end;",
		"-- mine\nif (redis.call('get', KEYS[1]) == ARGV[1]) then --[[ it is\nmine ]] return redis.call('del', " +
			"KEYS[1]) else return 0 end -- done",
		"if redis.pcall('get', KEYS[1]) == ARGV[1] then return redis.pcall('del', KEYS[1]) end return 0",
		"local mine = redis.call('get', KEYS[1]) if mine == ARGV[1] then return redis.call('del', KEYS[1]) else " +
			"return 0 end",
		"local KEY = redis.call('get', KEYS[1])\nif not KEY or KEY ~= ARGV[1] then return 0 end return " +
			"redis.call('del', KEYS[1])",
	} {
		if got := knownScripts().find(text); got == nil || *got != *want {
			t.Errorf("%+v, want %+v:\n%s", got, want, text)
		}
	}
}

// What differs in anything that matters is another script, and what is not known is not guessed.
func TestOtherScriptsAreNotTakenForRecipes(t *testing.T) {
	t.Parallel()
	good := "local v = redis.call('get', KEYS[1]) if v == ARGV[1] then return redis.call('del', KEYS[1]) else " +
		"return 0 end"
	if knownScripts().find(good) == nil {
		t.Fatal("the script that the others are made of is not known")
	}
	for _, change := range [][2]string{
		{"'get', KEYS[1]", "'get', KEYS[2]"}, {"'del', KEYS[1]", "'del', KEYS[2]"},
		{"'del', KEYS[1]", "'del', ARGV[1]"}, {"'del', KEYS[1]", "'del', KEYS[1], KEYS[2]"},
		{"'get'", "'getdel'"}, {"'del'", "'incr'"}, {"== ARGV[1]", "~= ARGV[1]"}, {"== ARGV[1]", "== ARGV[2]"},
		{"v == ARGV[1]", "w == ARGV[1]"},
		{"return 0", "return 7"}, {"return 0", "return"}, {"else return 0 end", "else return 0 end return 1"},
		{"local v", "local KEYS"}, {"local v", "v"},
		{"'get'", "'g\\101t'"}, {"'get'", "[[get]]"}, {" end", ""}, {"local", "--"},
		{"redis.call('del'", "x.call('del'"}, {"if v", "if (v"},
		{good, ""}, {good, "return 1"}, {good, "return redis.call('get', KEYS[1])"}, {good, "redis.call('flushall')"},
		{good, "\xff\x00'"}, {good, strings.Repeat(" ", maxScriptBytes) + good},
	} {
		if text := strings.Replace(good, change[0], change[1], 1); knownScripts().find(text) != nil {
			t.Errorf("taken for a recipe: %.200s", text)
		}
	}
	// Recipes that do not mean the same have no spelling in common.
	seen := map[string]string{}
	for _, g := range guards {
		for _, b := range bodies {
			for _, m := range misses {
				text, ok := normalize(strings.NewReplacer("BODY", b.text, "MISS", m.text).Replace(g.text))
				if of := g.text + b.text + m.text; !ok || seen[text] != "" {
					t.Errorf("%q and %q are both %q", seen[text], of, text)
				} else {
					seen[text] = of
				}
			}
		}
	}
}

// What each recipe answers: to the holder, to others, and when there is no key.
func TestScriptsOfLocks(t *testing.T) {
	t.Parallel()
	for name, dialog := range map[string][]struct{ script, words, want string }{
		"redis-py": {
			{redisPyRelease, "k me", ":0"},
			{"", "SET k me PX 5000", "+OK"},
			{redisPyRelease, "k you", ":0"},
			{redisPyExtend, "k you 1000 0", ":0"},
			{redisPyExtend, "k me 1000 0", ":1"},
			{"", "PTTL k", ":6000"},
			{redisPyExtend, "k me 1000 1", ":1"},
			{"", "PTTL k", ":1000"},
			{redisPyExtendOld, "k me 500", ":1"},
			{"", "PTTL k", ":1500"},
			{redisPyReacquire, "k you 7000", ":0"},
			{redisPyReacquire, "k me 7000", ":1"},
			{"", "PTTL k", ":7000"},
			{redisPyExtend, "k me x 0", "-ERR value is not an integer or out of range"},
			{redisPyExtend, "k me 1", "-ERR this script reads more arguments than were given"},
			{redisPyRelease, "k me", ":1"},
			{"", "GET k", "nil"},
			{"", "SET k me", "+OK"},
			{redisPyExtend, "k me 1000 0", ":0"}, // it has no deadline
		},
		"redsync": {
			{redsyncDelete, "k me", ":-1"},
			{redsyncTouch, "k me 1000", ":0"},
			{redsyncTouchOrSet, "k me 1000", ":1"},
			{"", "PTTL k", ":1000"},
			{redsyncTouchOrSet, "k you 3000", ":0"},
			{redsyncTouchOrSet, "k me 3000", ":1"},
			{redsyncTouch, "k me 2000", ":1"},
			{"", "PTTL k", ":2000"},
			{redsyncDelete, "k you", ":0"},
			{redsyncDelete, "k me", ":1"},
			{redsyncDeleteOld, "k me", ":0"},
		},
		"redlock for Node.js": {
			{redlockAcquire, "k me 1000", ":1"},
			{redlockAcquire, "k me 1000", ":0"},
			{redlockExtend, "k you 2000", ":0"},
			{redlockExtend, "k me 2000", ":1"},
			{"", "PTTL k", ":2000"},
			{redlockExtend, "k me 0", "-ERR invalid expire time in 'set' command"},
			{redlockRelease, "k you", ":0"},
			{redlockRelease, "k me", ":1"},
			{redlockExtend, "k me 2000", ":0"},
		},
		"redislock": {
			{redislockTTLOne, "k me", ":-3"},
			{redislockObtainOne, "k me1 2 1000", "+OK"},
			{redislockTTLOne, "k me1", ":1000"},
			{redislockObtainOne, "k you 2 1000", "nil"},
			{redislockObtainOne, "k me2 2 2000", "+OK"},
			{"", "GET k", `"me2"`},
			{redislockRefreshOne, "k me2 4000", ":1"},
			{redislockTTL, "k me2", ":4000"},
			{redislockTTL, "k me1", ":-3"},
			{redislockRefresh, "k me1 1", "nil"},
			{redislockRefresh, "k me2 5000", "+OK"},
			{redislockObtain, "k you 2 1000", "nil"},
			{redislockObtain, "k me3 2 1000", "+OK"},
			{redislockRelease, "k me2", "nil"},
			{redislockRelease, "k me3", "+OK"},
			{redislockReleaseOne, "k me3", ":0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, _ := start(t, newFake(), nil)
			c := dial(t, address)
			for _, step := range dialog {
				words := strings.Fields(step.words)
				if step.script != "" {
					words = append([]string{"EVALSHA", shaOf(step.script), "1"}, words...)
				}
				if got := c.do(words...); got != step.want {
					t.Errorf("%s: %s, want %s\n%s", step.words, got, step.want, step.script)
				}
			}
		})
	}
}

// Clients send a SHA1, then the text when that is not known; what is loaded is known to all clients.
func TestScriptsAreLearned(t *testing.T) {
	t.Parallel()
	address, s := start(t, newFake(), nil)
	a, b := dial(t, address), dial(t, address)
	own := "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end -- mine"
	sha := shaOf(own)
	for _, step := range []struct {
		c     *client
		words []string
		want  string
	}{
		{a, []string{"EVALSHA", sha, "1", "k", "me"}, "-" + errNoScript.Error()},
		{a, []string{"SCRIPT", "EXISTS", sha, shaOf(redsyncDelete), "x"}, "[:0 :1 :0]"},
		{a, []string{"EVAL", own, "1", "k", "me"}, ":0"},
		{b, []string{"EVALSHA", strings.ToUpper(sha), "1", "k", "me"}, ":0"},
		{b, []string{"SCRIPT", "FLUSH", "ASYNC"}, "+OK"},
		{b, []string{"SCRIPT", "FLUSH", "NOW"}, "-ERR SCRIPT FLUSH only support SYNC|ASYNC option"},
		{a, []string{"EVALSHA", sha, "1", "k", "me"}, "-" + errNoScript.Error()},
		{a, []string{"SCRIPT", "LOAD", own}, `"` + sha + `"`},
		{a, []string{"EVALSHA", sha, "1", "k", "me"}, ":0"},
		{a, []string{"SCRIPT", "LOAD", "return 1"}, "-" + errUnknownScript.Error()},
		{a, []string{"EVAL", "return 1", "0"}, "-" + errUnknownScript.Error()},
		{a, []string{"EVAL", "return 1", "x"}, "-ERR value is not an integer or out of range"},
		{a, []string{"EVAL", "return 1", "-1"}, "-ERR Number of keys can't be negative"},
		{a, []string{"EVAL", "return 1", "1"}, "-ERR Number of keys can't be greater than number of args"},
		{a, []string{"EVAL", own, "0"}, "-" + errScriptKeys.Error()},
		{a, []string{"EVAL", own, "1", "k"}, "-" + errScriptArgs.Error()},
		{a, []string{"EVAL", own, "2", "k", "l", "me"}, "-" + errPartitions.Error()},
		{a, []string{"EVAL", own, "2", "{k}1", "{k}2", "me"}, ":0"},
		{a, []string{"EVAL", redlockRelease, "2", "{k}1", "{k}2", "me"}, "-" + errScriptKeys.Error()},
		{a, []string{"MULTI"}, "+OK"},
		{a, []string{"EVAL", own, "1", "k", "me"}, "-" + errNotInMulti.Error()},
		{a, []string{"DISCARD"}, "+OK"},
	} {
		if got := step.c.do(step.words...); got != step.want {
			t.Errorf("%.100q: %s, want %s", step.words, got, step.want)
		}
	}
	for i := range maxLearned + 100 {
		a.do("SCRIPT", "LOAD", own+strings.Repeat(" ", i))
	}
	s.scripts.mu.Lock()
	defer s.scripts.mu.Unlock()
	if n := len(s.scripts.learned); n != maxLearned {
		t.Errorf("%d scripts are remembered, want %d", n, maxLearned)
	}
}

// A script whose key changes between its read and its write begins anew, and says so when that goes on.
func TestAScriptSeesWhatOthersDoMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFake()
	address, _ := start(t, f, nil)
	c := dial(t, address)
	c.do("SET", "k", "me", "PX", "5000")
	times := 0
	touch := func() { // somebody else extends it
		if times--; times >= 0 {
			it := f.items["k"]
			f.version++
			it.Version, it.Deadline = f.version, it.Deadline+100
			f.items["k"] = it
		}
	}
	f.mu.Lock()
	f.afterRead, times = touch, 3
	f.mu.Unlock()
	if got := c.do("EVAL", redisPyExtend, "1", "k", "me", "1000", "0"); got != ":1" {
		t.Error(got)
	}
	if got := f.items["k"].Deadline - fakeNow; got != 5000+3*100+1000 {
		t.Errorf("it lives %d ms, want what all have added", got)
	}
	f.mu.Lock()
	times = 1000
	f.mu.Unlock()
	if got := c.do("EVAL", redisPyExtend, "1", "k", "me", "1000", "0"); got != "-"+errContended.Error() {
		t.Error(got)
	}
	f.mu.Lock()
	f.afterRead, f.failing = nil, kv.Errorf(kv.Unavailable, "no leader")
	f.mu.Unlock()
	if got := c.do("EVAL", redsyncDelete, "1", "k", "me"); got != "-CLUSTERDOWN no leader" {
		t.Error(got)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, text := range published {
		f.Add(text)
	}
	f.Add("--[[")
	f.Add("if ( ( then local for in . pcall")
	f.Fuzz(func(t *testing.T, text string) {
		once, ok := normalize(text)
		if !ok {
			return
		}
		if twice, ok := normalize(once); ok && len(twice) > len(once) {
			t.Errorf("%q becomes %q", once, twice)
		}
	})
}
