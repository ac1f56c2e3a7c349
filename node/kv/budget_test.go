package kv

import (
	"context"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
)

// Whatever accounts take, give and move, the budget has what they hold, and nobody finds room beyond
// the share of his owner.
func TestABudgetHasWhatAccountsHold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := NewBudget(rapid.Int64Range(1000, 1<<20).Draw(t, "limit"))
		owners := []Owner{OfClients, OfClients, OfPeers}
		accounts, held := make([]Account, len(owners)), make([]int, len(owners))
		for i := range accounts {
			accounts[i].Open(b, owners[i])
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, len(accounts)-1).Draw(t, "account")
			n := rapid.IntRange(0, int(b.limit)).Draw(t, "bytes") >> rapid.IntRange(0, 20).Draw(t, "less")
			switch a := &accounts[i]; rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				before := b.Held()
				if a.Take(n) {
					held[i] += n
					if b.Held() > b.limit/8*int64(owners[i]) && b.Held() > before && int64(held[i]) > b.small() {
						t.Fatalf("%d of %d bytes are held, of which %d were just taken", b.Held(), b.limit, n)
					}
					if b.Held() > b.limit && b.Held() > before && owners[i] == OfClients {
						t.Fatalf("%d of %d bytes are held", b.Held(), b.limit)
					}
				} else if b.Held() != before {
					t.Fatalf("what was refused is counted")
				}
			case 2:
				a.Force(n)
				held[i] += n
			case 3:
				n = min(n, held[i])
				a.Give(n)
				held[i] -= n
			case 4:
				j := (i + 1) % len(accounts)
				if a.MoveTo(&accounts[j], n) != (n <= held[i]) {
					t.Fatalf("%d of %d bytes moved", n, held[i])
				} else if n <= held[i] {
					held[i], held[j] = held[i]-n, held[j]+n
				}
			case 5:
				least := rapid.IntRange(0, n).Draw(t, "least")
				got := a.TakeSome(n, least)
				if got != 0 && (got < least || got > n) {
					t.Fatalf("%d bytes were taken, wanted are %d to %d", got, least, n)
				}
				held[i] += got
			}
			sum := 0
			for i := range accounts {
				if accounts[i].Held() != held[i] {
					t.Fatalf("account %d holds %d bytes, want %d", i, accounts[i].Held(), held[i])
				}
				sum += held[i]
			}
			if free := int64(len(accounts)) * b.free(); b.Held() > int64(sum) || b.Held() < int64(sum)-free {
				t.Fatalf("the budget has %d bytes, the accounts %d", b.Held(), sum)
			}
		}
		for i := range accounts {
			accounts[i].Close()
			if accounts[i].Take(1+int(b.free())) || accounts[i].Held() != 0 {
				t.Fatalf("a closed account holds something")
			}
		}
		if b.Held() != 0 {
			t.Fatalf("%d bytes are left over", b.Held())
		}
	})
}

func TestABudgetIsWholeAgainAfterARace(t *testing.T) {
	t.Parallel()
	b := NewBudget(1 << 20)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			var a Account
			a.Open(b, OfClients)
			for i := range 2000 {
				if n := 1 + i*37%300_000; a.Take(n) && i%3 > 0 {
					a.Give(n)
				}
				if i%50 == 0 {
					a.GiveAll()
				}
			}
			a.Close()
		})
	}
	all.Wait()
	if b.Held() != 0 || b.Refused() == 0 {
		t.Errorf("%d bytes are held, %d were refused", b.Held(), b.Refused())
	}
}

func TestAccountsTravelWithContexts(t *testing.T) {
	t.Parallel()
	var own, parents Account
	ctx := WithAccount(t.Context(), &parents)
	d := NewDeadline(ctx, time.Now().Add(time.Minute))
	defer d.Release()
	if AccountOf(t.Context()) != nil || AccountOf(ctx) != &parents || AccountOf(d) != &parents {
		t.Error("the account of the parent is not found")
	}
	d.Account = &own
	below, cancel := context.WithCancel(d)
	defer cancel()
	if AccountOf(d) != &own || AccountOf(below) != &own {
		t.Error("the account of a Deadline is not found")
	}
	if a := AccountOf(t.Context()); !a.Take(1<<40) || a.Held() != 0 || a.TakeSome(5, 1) != 5 {
		t.Error("no account is in the way")
	}
}
