package capacity_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
)

// behaviours are what a request path may expect of any dispatcher.
var behaviours = map[string]func(*testing.T){
	"whole answers":          TestAnAnswerComesWhole,
	"order of classes":       TestTheQueueKeepsTheOrderOfClasses,
	"refused waits":          TestWaitsAreRefusedWithALimitAndAnHonestTime,
	"full queues":            TestAFullQueueAndAPromptTooLargeAreRefusedAtOnce,
	"unavailable engines":    TestAnUnavailableEngineCostsATryAndRests,
	"the last engine":        TestTheLastEngineIsTriedAndItsErrorComesBack,
	"no second try":          TestNoSecondTryAfterTheFirstToken,
	"a start alone":          TestAStartAloneCommitsToNothing,
	"the caller's fault":     TestTheCallersFaultIsNotTriedElsewhere,
	"callers who leave":      TestACallerThatGoesAwayIsForgotten,
	"panics":                 TestAnEngineThatPanicsHoldsNothing,
	"prompts that give way":  TestAPromptGivesWayToAHigherClassAndIsReadAgain,
	"over the last engine":   TestARequestOverTheLastEngineWaitsForOneToComeBack,
	"removed engines":        TestAnEngineThatIsRemovedLosesOnlyWhatItHadBegun,
	"updates":                TestUpdateLosesNoRequest,
	"close":                  TestCloseRefusesWhatWaits,
	"terms":                  TestTermsDecideAboutWaitAndOrder,
	"streams for all":        TestAnEngineThatStreamsIsAskedToForAll,
	"too large for now":      TestARequestTooLargeForWhatStandsMayComeBack,
	"floors":                 TestAFloorKeepsALowClassAlive,
	"the contract of Model":  TestAPoolKeepsTheContractOfModel,
	"stress":                 TestNothingIsLostUnderStress,
	"isolation":              TestProvisionedTrafficKeepsItsLatencyBesideAnOverload,
	"rates":                  TestTheRatesOfAnEngineAreLearned,
	"slow engines":           TestAnEngineThatBecomesSlowIsProbedAndRests,
	"engines in trouble":     TestMetricsOfAnEngineInTroubleHaveItTakeLess,
	"latency that served":    TestReceiptsTellTheLatencyThatServed,
	"priorities":             TestEnginesThatTakePrioritiesAreToldThem,
	"contexts of attempts":   TestAnAttemptsContextEndsWithItUnlessMoreRecordsComeUnderIt,
	"records taken back":     TestARecordThatIsTakenBackTakesNoOtherWithIt,
	"answers in one piece":   TestAnAnswerInOnePieceIsGoodThoughItsEngineIsTakenMeanwhile,
	"taken before":           TestAnAnswerInOnePieceOfAnEngineThatWasTakenBeforeIsNotPassedOn,
	"tokens wanted whole":    TestTokensOfAnAnswerThatIsWantedWholeCount,
	"moments that meet":      TestATokenThatHasComeIsNotTakenBack,
	"outcomes":               TestRequestsAreCountedByHowTheyEnded,
	"taken back and charged": TestARequestThatIsTakenBackIsAnsweredAndChargedOnce,
	"what held a request":    TestARequestThatWaitedTellsWhatHeldIt,
	"leaving the queue":      TestACallerWhoLeavesTheQueueHasATryWithoutAnEngine,
	"first tries":            TestNotMoreThanTheFirstTriesAreTold,
}

// The request path and its dispatcher have nothing in common but a stream of
// bytes, as if they were two processes.
func TestADispatcherBehindAByteStreamBehavesAlike(t *testing.T) {
	distant = true
	defer func() { distant = false }()
	for name, test := range behaviours {
		t.Run(name, test)
	}
}

// Where the dispatcher dies, what waits for it may be tried again, what answers
// ends as if its engine had been taken away, and what comes is refused at once.
// The dispatcher that lost its path holds nothing for it.
func TestADispatcherThatIsGoneLeavesNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, capacity.Config{}, small(1), answers(time.Second, time.Second, 100))
		hangUp, disconnect := p.Distant(0)
		t.Cleanup(disconnect)
		ask := func() chan error {
			failed := make(chan error, 1)
			go func() {
				_, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 100), new(counter))
				failed <- err
			}()
			synctest.Wait()
			return failed
		}
		answered := ask()
		time.Sleep(5 * time.Second)
		waits := ask()
		began := time.Now()
		hangUp()
		if err := <-answered; !errors.Is(err, outcrop.CodeModelStream) {
			t.Errorf("what was answered: %v", err)
		}
		for _, failed := range []chan error{waits, ask()} {
			var e *outcrop.Error
			if err := <-failed; !errors.As(err, &e) || e.Code != outcrop.CodeUnavailable || e.RetryAfter <= 0 {
				t.Errorf("what waited or came: %v", err)
			}
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("that took %v", d)
		}
		empty(t, p)
	})
}

// far is a pool whose dispatcher's words are ten milliseconds on their way.
func far(t *testing.T, size int, model outcrop.Model) *capacity.Pool {
	t.Helper()
	p := pool(t, capacity.Config{}, small(size), model)
	_, disconnect := p.Distant(10 * time.Millisecond)
	t.Cleanup(disconnect)
	return p
}

func TestAnEngineThatLeavesServesWhatItWasGivenBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := answers(0, 0, 3), answers(0, 0, 3)
		p := far(t, 8, a)
		failed := make(chan error, 1)
		go func() {
			_, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 3), new(counter))
			failed <- err
		}()
		time.Sleep(5 * time.Millisecond) // the word that a takes it is on its way
		if err := p.Update([]capacity.Engine{{Name: "b", Model: b, Capacity: small(8)}}); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; err != nil || a.calls.Load() != 1 || b.calls.Load() != 0 {
			t.Errorf("%d calls of the one that leaves, %d of the other, error %v", a.calls.Load(), b.calls.Load(), err)
		}
		empty(t, p)
	})
}

func TestAnAttemptThatEndsAfterItWasTakenBackIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{}
		e.run = func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
			if e.calls.Load() > 1 {
				return answers(time.Second, 0, 3).run(ctx, req, out)
			}
			// It fails when it was taken back already, and the word of that is on
			// its way.
			if err := pause(ctx, 60*time.Millisecond); err != nil {
				t.Errorf("the word came too early: %v", err)
			}
			return outcrop.Receipt{}, outcrop.Invalid("no")
		}
		p := far(t, 1, e)
		failed := make(chan error, 1)
		var c counter
		go func() {
			_, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "low", 20_000, 3), &c)
			failed <- err
		}()
		time.Sleep(65 * time.Millisecond)
		if _, err := p.Invoke(t.Context(), request(outcrop.ClassProvisioned, "high", 100, 3), new(counter)); err != nil {
			t.Error(err)
		}
		if err := <-failed; err != nil || c != (counter{1, 3, 1}) || e.calls.Load() != 3 {
			t.Errorf("the caller saw %+v, error %v; %d attempts of both", c, err, e.calls.Load())
		}
		empty(t, p)
	})
}
