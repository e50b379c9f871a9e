.PHONY: demo test check

demo: # a shop with live numbers, nothing else needed
	@scripts/demo.sh

test: # against a real Kafka, registry and browser
	@scripts/test.sh

check: # format, lints, documentation, rules
	@scripts/check.sh
