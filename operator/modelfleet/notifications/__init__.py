"""A second sink of announcements, beside Events: notifications to receivers that the operator's settings name.

What is said, to whom, and when again is pure; what writes, sends and waits is thin:

    endpoint      the settings of a receiver, and their checks
    notification  what is said: one value, made from an announcement and its owner; its id
    selection     which receivers want it
    formats       its bytes: CloudEvents, plain JSON, Slack
    signature     Standard Webhooks
    retry         what an answer means: sent, again and when, or lost

    outbox        what is not delivered yet, as ConfigMaps in the operator's namespace
    sender        one HTTP request
    mailbox       what waits for one receiver, and the task that sends it
    notifier      the whole, as `modelfleet.reconcile` and the runtime see it

docs/notifications.md has the guarantee.
"""
