package resp

import (
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"sync"
)

// There is no Lua here. What clients mostly need it for is a lock that is given back by its holder
// only, and for that they send a few scripts, over and over, in many spellings. These are known: as
// text, normalized, and each is carried out as operations of this server.

// recipe is what a known script does with its one key, KEYS[1].
type recipe struct {
	does deed
	argv int  // how many arguments it reads
	each bool // it is written for several keys; here it is answered for one
	// done is its answer when the key held ARGV[1]; differs when it held something else, and absent when
	// there was no key.
	done, differs, absent answer
}

// deed is what is done when the key holds ARGV[1], all in one step.
type deed uint8

const (
	deletes   deed = iota // DEL
	expires               // EXPIRE by ARGV[2] seconds
	expiresMS             // PEXPIRE by ARGV[2] milliseconds
	// PEXPIRE by what is left and ARGV[2] milliseconds; without a deadline it counts as absent
	adds
	addsOrReplaces // the same when ARGV[3] is 0, else as expiresMS
	tells          // TTL
	tellsMS        // PTTL
	sets           // SET ARGV[1] PX ARGV[2]
	touchesOrSets  // as expiresMS; an absent key is set as by sets, and that is done
	acquires       // an absent key is set as by sets, and that is done; any other value differs
	// the same by ARGV[3], and a value that begins with as many bytes as ARGV[2] says of ARGV[1] is overwritten
	obtains
)

// answer is a reply that a recipe fixes.
type answer struct {
	kind    uint8
	integer int64
}

const (
	asCommand uint8 = iota // the integer that the command answers
	asNumber
	asNull
	asOK
)

var (
	byCommand = answer{}
	null      = answer{kind: asNull}
	okay      = answer{kind: asOK}
)

func integer(n int64) answer { return answer{asNumber, n} }

// bodies are what is done when the key holds ARGV[1].
var bodies = []struct {
	text string
	does deed
	argv int
	done answer
}{
	{"return redis.call('del', KEYS[1])", deletes, 1, byCommand},
	{"redis.call('del', KEYS[1]) return 1", deletes, 1, integer(1)},
	{"redis.call('del', KEYS[1]) return true", deletes, 1, integer(1)},
	{"return redis.call('unlink', KEYS[1])", deletes, 1, byCommand},
	{"return redis.call('expire', KEYS[1], ARGV[2])", expires, 2, byCommand},
	{"redis.call('expire', KEYS[1], ARGV[2]) return 1", expires, 2, integer(1)},
	{"return redis.call('pexpire', KEYS[1], ARGV[2])", expiresMS, 2, byCommand},
	{"redis.call('pexpire', KEYS[1], ARGV[2]) return 1", expiresMS, 2, integer(1)},
	{"return redis.call('ttl', KEYS[1])", tells, 1, byCommand},
	{"return redis.call('pttl', KEYS[1])", tellsMS, 1, byCommand},
	{"return redis.call('set', KEYS[1], ARGV[1], 'PX', ARGV[2])", sets, 2, okay},
	{"local t = redis.call('pttl', KEYS[1]) if not t then t = 0 end if t < 0 then return 0 end redis.call('pexpire', " +
		"KEYS[1], t + ARGV[2]) return 1", adds, 2, integer(1)},
	{"local t = redis.call('pttl', KEYS[1]) if not t then t = 0 end if t < 0 then return 0 end local n = ARGV[2] if " +
		"ARGV[3] == '0' then n = ARGV[2] + t end redis.call('pexpire', KEYS[1], n) return 1",
		addsOrReplaces, 3, integer(1)},
}

// guards are the ways in which scripts ask whether the key holds ARGV[1]. BODY stands for one of bodies,
// MISS for one of misses, which is the answer else.
var guards = []struct {
	text   string
	absent *answer // nil: as MISS
}{
	{text: "if redis.call('get', KEYS[1]) == ARGV[1] then BODY else return MISS end"},
	{text: "if redis.call('get', KEYS[1]) == ARGV[1] then BODY end return MISS"},
	{text: "if ARGV[1] == redis.call('get', KEYS[1]) then BODY else return MISS end"},
	{text: "if redis.call('get', KEYS[1]) ~= ARGV[1] then return MISS end BODY"},
	{text: "local v = redis.call('get', KEYS[1]) if v == ARGV[1] then BODY else return MISS end"},
	{text: "local v = redis.call('get', KEYS[1]) if v == ARGV[1] then BODY end return MISS"},
	{text: "local v = redis.call('get', KEYS[1]) if v ~= ARGV[1] then return MISS end BODY"},
	{text: "local v = redis.call('get', KEYS[1]) if not v or v ~= ARGV[1] then return MISS end BODY"},
	{text: "local v = redis.call('get', KEYS[1]) if v == ARGV[1] then BODY elseif v == false then return -1 else " +
		"return MISS end", absent: &answer{asNumber, -1}},
}

var misses = []struct {
	text string
	says answer
}{{"0", integer(0)}, {"-1", integer(-1)}, {"-2", integer(-2)}, {"-3", integer(-3)}, {"nil", null}, {"false", null}}

// whole are recipes that are not made of a guard and a body.
var whole = []struct {
	text string
	recipe
}{
	{redsyncTouchOrSet, recipe{does: touchesOrSets, argv: 2, done: integer(1), differs: integer(0)}},
	{redlockAcquire, recipe{does: acquires, argv: 2, each: true, done: integer(1), differs: integer(0)}},
	{redlockExtend, recipe{does: sets, argv: 2, each: true, done: integer(1), differs: integer(0), absent: integer(0)}},
	{redlockRelease, recipe{
		does: deletes, argv: 1, each: true, done: integer(1), differs: integer(0), absent: integer(0),
	}},
	{redislockObtainOne, recipe{does: obtains, argv: 3, done: okay, differs: null}},
	{redislockObtain, recipe{does: obtains, argv: 3, each: true, done: okay, differs: null}},
	{redislockRelease, recipe{does: deletes, argv: 1, each: true, done: okay, differs: null, absent: null}},
	{redislockRefresh, recipe{does: expiresMS, argv: 2, each: true, done: okay, differs: null, absent: null}},
	{redislockTTL, recipe{
		does: tellsMS, argv: 1, each: true, done: byCommand, differs: integer(-3), absent: integer(-3),
	}},
}

// cookbook is every known script: by its normalized text, and by the SHA1 of those texts that libraries
// send word for word.
type cookbook struct {
	byText map[string]*recipe
	bySHA  map[string]*recipe
}

// knownScripts is made at its first use.
var knownScripts = sync.OnceValue(func() *cookbook {
	b := &cookbook{byText: map[string]*recipe{}, bySHA: map[string]*recipe{}}
	for _, g := range guards {
		for _, body := range bodies {
			for _, miss := range misses {
				r := &recipe{does: body.does, argv: body.argv, done: body.done, differs: miss.says, absent: miss.says}
				if g.absent != nil {
					r.absent = *g.absent
				}
				text, _ := normalize(strings.NewReplacer("BODY", body.text, "MISS", miss.text).Replace(g.text))
				b.byText[text] = r
			}
		}
	}
	for _, w := range whole {
		text, _ := normalize(w.text)
		b.byText[text] = &w.recipe
	}
	for _, text := range published {
		b.bySHA[shaOf(text)] = b.find(text)
	}
	return b
})

// find returns what a script does, nil when it is not known.
func (b *cookbook) find(script string) *recipe {
	text, ok := normalize(script)
	if !ok {
		return nil
	}
	return b.byText[text]
}

func shaOf(script string) string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}
