# The same handler in Python.
def handler(event, context):
    return {"statusCode": 200, "hello": event["name"], "sum": sum(item["price"] * item["count"] for item in event["items"])}
