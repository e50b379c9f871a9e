.PHONY: demo test chaos check

demo: # a shop with live numbers, nothing else needed
	@scripts/demo.sh

test: # against a real Kafka, registry and browser
	@scripts/test.sh

chaos: # many more seeds and kills than `make test`
	@scripts/chaos.sh

check: # format, lints, documentation, rules
	@scripts/check.sh
